// Batch normalisation in training with the statistics of all processes' batches, which all have the same size, and what
// follows it in residual networks: relu(bn(x) + shortcut).

#include <ATen/Parallel.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/batch_norm_backward_elemt.h>
#include <ATen/ops/batch_norm_backward_reduce.h>
#include <ATen/ops/batch_norm_elemt.h>
#include <ATen/ops/batch_norm_gather_stats_with_counts.h>
#include <ATen/ops/batch_norm_stats.h>
#include <ATen/ops/batch_norm_update_stats.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/native_batch_norm.h>
#include <ATen/ops/native_batch_norm_backward.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/threshold_backward.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>

#include "distributed.h"
#include "guard.h"

namespace stec {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Running {
  at::Tensor mean;
  at::Tensor variance;
  double momentum;
};

int64_t values_per_channel(const at::Tensor& input) { return input.numel() / input.size(1); }

double values_per_channel(const Group& group, const at::Tensor& input) {
  return static_cast<double>(values_per_channel(input) * group.size());
}

at::Tensor like_input(const at::Tensor& gradient, const at::Tensor& input) {
  return gradient.contiguous(input.suggest_memory_format());
}

// On GPUs, libtorch has operators for each step of several processes. `spread` is 1 / standard deviation.
namespace gpu {

struct SyncBatchNorm : torch::autograd::Function<SyncBatchNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& given, const at::Tensor& weight,
                            const at::Tensor& bias, const Running& running, double eps, double group) {
    const at::Tensor input = given.contiguous(given.suggest_memory_format());
    const auto processes = groups().get(group);
    const auto [own_mean, own_spread] = at::batch_norm_stats(input, eps);
    const at::Tensor all = processes->gather(at::stack({own_mean, own_spread}));
    const at::Tensor counts = at::full({processes->size()}, values_per_channel(input), own_mean.options());
    const auto [mean, spread] = at::batch_norm_gather_stats_with_counts(
        input, all.select(1, 0), all.select(1, 1), running.mean, running.variance, running.momentum, eps,
        counts.to(running.mean.scalar_type()));
    context->save_for_backward({input, weight, mean, spread});
    context->saved_data["group"] = group;
    return at::batch_norm_elemt(input, weight, bias, mean, spread, eps);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &input = saved[0], &weight = saved[1], &mean = saved[2], &spread = saved[3];
    const auto processes = groups().get(context->saved_data["group"].toDouble());
    const at::Tensor gradient = like_input(gradients[0], input);
    const auto [sum, sum_xmu, of_weight, of_bias] =
        at::batch_norm_backward_reduce(gradient, input, mean, spread, weight, true, true, true);
    const at::Tensor sums = at::stack({sum, sum_xmu});
    processes->sum_(sums);
    const at::Tensor counts =
        at::full({processes->size()}, values_per_channel(input), mean.options().dtype(at::kInt));
    const at::Tensor of_input = at::batch_norm_backward_elemt(
        gradient, input, mean, spread, weight.to(mean.scalar_type()), sums[0], sums[1], counts);
    variable_list result{of_input, of_weight, of_bias};
    result.resize(6);
    return result;
  }
};

}  // namespace gpu

// On CPUs, memory bounds all of it, and processes on one machine, which come here at the same time, share the memory: so
// there are as few passes over it as possible.
namespace cpu {

// Visits the rows in parts that stay in the caches of the cores from one operator to the next: 2 MB of float32 a core,
// where smaller parts cost more in calls and larger ones more in memory.
template <typename Visit>
void for_parts(const at::Tensor& input, Visit visit) {
  constexpr int64_t values_of_a_core = 1 << 19;
  const int64_t rows = input.size(0);
  const int64_t length =
      std::max<int64_t>(1, values_of_a_core * at::get_num_threads() * rows / std::max<int64_t>(1, input.numel()));
  for (int64_t first = 0; first < rows; first += length) {
    const int64_t count = std::min(length, rows - first);
    visit([=](const at::Tensor& whole) { return whole.narrow(0, first, count); });
  }
}

// Mean and variance of all values from those of parts, (parts, channels), which hold these shares of the values.
std::tuple<at::Tensor, at::Tensor> combine(const at::Tensor& means, const at::Tensor& variances,
                                           const at::Tensor& shares) {
  const at::Tensor mean = (means * shares).sum(0);
  return {mean, ((variances + (means - mean).square()) * shares).sum(0)};
}

std::tuple<at::Tensor, at::Tensor> statistics(Group& group, const at::Tensor& input, const Running& running) {
  std::vector<at::Tensor> means, variances;
  std::vector<double> shares;
  for_parts(input, [&](auto part) {
    // The running statistics tell the operator the precision to work in; it must not change them.
    const auto [mean, variance] =
        at::batch_norm_update_stats(part(input), running.mean.clone(), running.variance.clone(), 0);
    means.push_back(mean);
    variances.push_back(variance);
    shares.push_back(static_cast<double>(part(input).size(0)) / static_cast<double>(input.size(0)));
  });
  const auto [own_mean, own_variance] = combine(at::stack(means), at::stack(variances),
                                                at::tensor(shares, running.mean.options()).unsqueeze(1));
  const at::Tensor all = group.gather(at::stack({own_mean, own_variance}));
  const at::Tensor equal = at::full({group.size(), 1}, 1.0 / static_cast<double>(group.size()), all.options());
  return combine(all.select(1, 0), all.select(1, 1), equal);
}

struct SyncBatchNorm : torch::autograd::Function<SyncBatchNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& given, const at::Tensor& weight,
                            const at::Tensor& bias, const std::optional<at::Tensor>& shortcut,
                            const Running& running, double eps, double group, bool relu) {
    const at::Tensor input = given.contiguous(given.suggest_memory_format());
    const auto processes = groups().get(group);
    const auto [mean, variance] = statistics(*processes, input, running);
    const double count = values_per_channel(*processes, input);
    running.mean.mul_(1 - running.momentum).add_(mean, running.momentum);
    running.variance.mul_(1 - running.momentum).add_(variance, running.momentum * count / (count - 1));

    const at::Tensor output = at::empty_like(input);
    at::Tensor unused_mean = at::empty({0}, mean.options()), unused_spread = at::empty({0}, mean.options());
    for_parts(input, [&, &mean = mean, &variance = variance](auto part) {
      at::Tensor result = part(output);
      // What inference uses normalises with given statistics.
      const bool training = false;
      at::native_batch_norm_out(result, unused_mean, unused_spread, part(input), weight, bias, mean, variance,
                                training, 0, eps);
      if (shortcut) result.add_(part(*shortcut));
      if (relu) result.relu_();
    });
    context->save_for_backward({input, weight, mean, variance, relu ? output : at::Tensor()});
    context->saved_data["eps"] = eps;
    context->saved_data["group"] = group;
    context->saved_data["shortcut"] = shortcut.has_value();
    return output;
  }

  // With dy the gradient before the ReLU, x^ = (x - mean) / s, s = sqrt(variance + eps) and sums over all n values of a
  // channel: dx = weight / s (dy - sum(dy) / n - x^ sum(dy x^) / n), dweight = sum(dy x^), dbias = sum(dy).
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &input = saved[0], &weight = saved[1], &mean = saved[2], &variance = saved[3], &output = saved[4];
    const double eps = context->saved_data["eps"].toDouble();
    const auto processes = groups().get(context->saved_data["group"].toDouble());
    const bool to_shortcut = context->saved_data["shortcut"].toBool();

    const at::Tensor given = like_input(gradients[0], input);
    const at::Tensor dy = output.defined() ? at::empty_like(given) : given;
    at::Tensor sums = at::zeros({2, input.size(1)}, mean.options());
    for_parts(input, [&](auto part) {
      if (output.defined()) {
        at::Tensor result = part(dy);
        at::threshold_backward_out(result, part(given), part(output), 0);
      }
      const bool training = false;
      const auto [none, of_weight, of_bias] = at::native_batch_norm_backward(
          part(dy), part(input), weight, mean, variance, {}, {}, training, eps, {false, true, true});
      sums.add_(at::stack({of_bias, of_weight}));
    });
    const at::Tensor of_bias = sums[0].clone(), of_weight = sums[1].clone();
    processes->sum_(sums);
    const at::Tensor means = sums / values_per_channel(*processes, input);

    // As dx = scale dy - slope x - (scale mean(dy) - slope mean).
    const at::Tensor invstd = (variance + eps).rsqrt(), scale = weight * invstd;
    const at::Tensor slope = scale * invstd * means[1], rest = slope * mean - scale * means[0];
    std::vector<int64_t> shape(input.dim(), 1);
    shape[1] = input.size(1);
    const at::Tensor scales = scale.view(shape), slopes = slope.view(shape), rests = rest.view(shape);
    const bool in_place = output.defined() && !to_shortcut;
    const at::Tensor dx = in_place ? dy : at::empty_like(input);
    for_parts(input, [&](auto part) {
      at::Tensor result = part(dx);
      at::addcmul_out(result, at::addcmul(rests, part(input), slopes, -1), part(dy), scales);
    });
    variable_list result{dx, of_weight, of_bias, to_shortcut ? dy : at::Tensor()};
    result.resize(8);
    return result;
  }
};

}  // namespace cpu

// libtorch's kernels believe the sizes that they are given here.
void check_arguments(const at::Tensor& input, const at::TensorList of_channels, const std::optional<at::Tensor>& shortcut,
                     double momentum, double eps) {
  TORCH_CHECK(input.dim() >= 2 && input.numel() > 0, "batch norm wants (N, C, ...) with elements, not ", describe(input));
  TORCH_CHECK(at::isFloatingType(input.scalar_type()), "batch norm wants floating-point numbers, not ", describe(input));
  const at::ScalarType type = of_channels[0].scalar_type();
  const bool narrow = input.scalar_type() == at::kHalf || input.scalar_type() == at::kBFloat16;
  TORCH_CHECK(type == input.scalar_type() || (narrow && type == at::kFloat), "batch norm of ", describe(input),
              " cannot have parameters of ", describe(of_channels[0]));
  for (const at::Tensor& tensor : of_channels) {
    TORCH_CHECK(tensor.dim() == 1 && tensor.size(0) == input.size(1), "batch norm of ", describe(input), " wants ",
                input.size(1), " numbers, one for each channel, not ", describe(tensor));
    TORCH_CHECK(tensor.scalar_type() == type && tensor.device() == input.device(), "the parameters of batch norm differ: ",
                describe(of_channels[0]), " and ", describe(tensor));
  }
  TORCH_CHECK(!shortcut || (shortcut->sizes() == input.sizes() && shortcut->scalar_type() == input.scalar_type() &&
                            shortcut->device() == input.device()),
              "the shortcut must be like the input, ", describe(input), ", not ", describe(*shortcut));
  TORCH_CHECK(momentum >= 0 && momentum <= 1 && eps >= 0, "batch norm cannot have a momentum of ", momentum,
              " and an eps of ", eps);
}
}  // namespace
}  // namespace stec

using namespace stec;

double stec_sync_batch_norm(double group, double input, double weight, double bias, double running_mean,
                            double running_variance, double momentum, double eps, double shortcut, uint32_t relu) {
  STEC_GUARD(STEC_FAILED, {
    const at::Tensor x = plain_tensor(input), scale = plain_tensor(weight), shift = plain_tensor(bias);
    const Running running{plain_tensor(running_mean), plain_tensor(running_variance), momentum};
    std::optional<at::Tensor> added;
    if (shortcut != 0) added = plain_tensor(shortcut);
    check_arguments(x, {scale, shift, running.mean, running.variance}, added, momentum, eps);
    if (x.is_cpu()) {
      return tensors().insert(cpu::SyncBatchNorm::apply(x, scale, shift, added, running, eps, group, relu != 0));
    }
    at::Tensor output = gpu::SyncBatchNorm::apply(x, scale, shift, running, eps, group);
    if (added) output.add_(*added);
    if (relu) output.relu_();
    return tensors().insert(output);
  })
}
