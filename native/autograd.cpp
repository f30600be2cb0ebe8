// Back-propagation, grad mode, autocast.

#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "guard.h"
#include "handles.h"

using namespace stec;

int32_t stec_backward(double tensor, double gradient, uint32_t retain_graph, uint32_t create_graph) {
  STEC_GUARD(STEC_FAILED, {
    const at::Tensor root = tensors().get(tensor);
    const at::Tensor seed = gradient == 0 ? at::Tensor() : tensors().get(gradient);
    torch::autograd::backward({root}, {seed}, retain_graph != 0, create_graph != 0);
    return 0;
  })
}

int32_t stec_gradients(uint32_t retain_graph, uint32_t create_graph, uint32_t allow_unused) {
  STEC_GUARD(STEC_FAILED, {
    stec_frame& frame = thread_frame();
    const auto read = [&frame](int slot) {
      const stec_slot& list = frame.slots[slot];
      if (list.tag == STEC_NONE) return std::vector<at::Tensor>();
      TORCH_CHECK(list.tag == STEC_TENSORS, "gradients wants lists of tensors");
      auto given = tensor_list(tensors().locked(), frame, list.value.number, list.count);
      for (const at::Tensor& tensor : given) TORCH_CHECK(tensor.defined(), "a list of tensors lacks one");
      return given;
    };
    const auto gradients = torch::autograd::grad(
        read(0), read(1), read(2), retain_graph != 0, create_graph != 0, allow_unused != 0);
    std::transform(gradients.begin(), gradients.end(), frame.payload,
                   [](const at::Tensor& g) { return g.defined() ? tensors().insert(g) : 0.0; });
    return static_cast<int32_t>(gradients.size());
  })
}

double stec_gradient(double tensor) {
  STEC_GUARD(STEC_FAILED, {
    const at::Tensor gradient = tensors().get(tensor).grad();
    return gradient.defined() ? tensors().insert(gradient) : 0.0;
  })
}

int32_t stec_set_gradient(double tensor, double gradient) {
  STEC_GUARD(STEC_FAILED, {
    const at::Tensor target = tensors().get(tensor);
    const at::Tensor value = gradient == 0 ? at::Tensor() : tensors().get(gradient);
    if (value.defined()) {
      // Autograd adds to it later without looking.
      TORCH_CHECK(!value.is_same(target), "a tensor cannot be its own gradient");
      for (const at::Tensor& tensor : {target, value}) {
        TORCH_CHECK(!tensor.is_nested() && !tensor.is_quantized(), describe(tensor), " takes part in no gradient");
      }
      TORCH_CHECK(value.layout() == target.layout() && value.sizes() == target.sizes() && value.scalar_type() == target.scalar_type() &&
                      value.device() == target.device(),
                  "a gradient must be like its tensor, ", describe(target), ", not ", describe(value));
    }
    target.mutable_grad() = value;
    return 0;
  })
}

int32_t stec_set_requires_grad(double tensor, uint32_t requires_grad) {
  STEC_GUARD(STEC_FAILED, {
    tensors().get(tensor).requires_grad_(requires_grad != 0);
    return 0;
  })
}

int32_t stec_set_grad_mode(uint32_t enabled) {
  STEC_GUARD(STEC_FAILED, {
    const bool before = c10::GradMode::is_enabled();
    c10::GradMode::set_enabled(enabled != 0);
    return before;
  })
}

int32_t stec_set_autocast(int32_t device_type, int32_t dtype) {
  STEC_GUARD(-2, {
    const auto device = static_cast<at::DeviceType>(device_type);
    const int32_t before = at::autocast::is_autocast_enabled(device)
        ? static_cast<int32_t>(at::autocast::get_autocast_dtype(device))
        : -1;
    if (dtype >= 0) {
      TORCH_CHECK(at::isFloatingType(checked_dtype(dtype)), "autocast wants a floating-point dtype, not ",
                  checked_dtype(dtype));
      at::autocast::set_autocast_dtype(device, checked_dtype(dtype));
    }
    at::autocast::set_autocast_enabled(device, dtype >= 0);
    if (dtype != before) at::autocast::clear_cache();
    return before;
  })
}
