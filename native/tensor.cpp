// Tensor handles: from and to buffers, description, release, live counters.

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <sstream>
#include <unordered_set>

#include "guard.h"
#include "handles.h"

namespace stec {

namespace {

thread_local stec_frame* own_frame = nullptr;

}  // namespace

stec_frame& thread_frame() {
  TORCH_CHECK(own_frame != nullptr, "this thread has no frame");
  return *own_frame;
}

std::string& last_error() {
  static thread_local std::string message;
  return message;
}

std::string brief(const c10::Error& error) {
  std::string text = error.what_without_backtrace();
  const size_t page = text.find(" This could be because the operator doesn't exist for this backend");
  if (page != std::string::npos) text.resize(page);
  return text;
}

TensorTable& tensors() { return immortal<TensorTable>(); }

HandleTable<at::Generator, 1>& generators() { return immortal<HandleTable<at::Generator, 1>>(); }

std::vector<at::Tensor> tensor_list(const TensorTable::Locked& table, const stec_frame& frame, double offset,
                                    uint32_t count) {
  TORCH_CHECK(offset >= 0 && offset + count <= STEC_PAYLOAD, "a tensor list lies outside the frame");
  std::vector<at::Tensor> list;
  list.reserve(count);
  const double* handles = frame.payload + static_cast<size_t>(offset);
  for (uint32_t i = 0; i < count; ++i) {
    list.push_back(handles[i] == 0 ? at::Tensor() : table.get(handles[i]));
  }
  return list;
}

at::ScalarType checked_dtype(double number) {
  TORCH_CHECK(whole(number) && number >= 0 && number < static_cast<double>(at::ScalarType::Undefined),
              "unknown dtype number ", number);
  return static_cast<at::ScalarType>(number);
}

uint32_t copy_text(const std::string& text, uint8_t* out, uint32_t capacity) {
  if (capacity > 0) std::memcpy(out, text.data(), std::min<size_t>(capacity, text.size()));
  return static_cast<uint32_t>(text.size());
}

namespace {

// The name that TypeScript uses; libtorch's own for types that it does not.
const char* dtype_name(at::ScalarType type) {
  switch (type) {
    case at::kByte: return "uint8";
    case at::kChar: return "int8";
    case at::kShort: return "int16";
    case at::kInt: return "int32";
    case at::kLong: return "int64";
    case at::kHalf: return "float16";
    case at::kFloat: return "float32";
    case at::kDouble: return "float64";
    case at::kBool: return "bool";
    case at::kBFloat16: return "bfloat16";
    case at::kComplexFloat: return "complex64";
    case at::kComplexDouble: return "complex128";
    case at::kUInt16: return "uint16";
    case at::kUInt32: return "uint32";
    case at::kUInt64: return "uint64";
    default: return c10::toString(type);
  }
}

}  // namespace

std::string describe(const at::Tensor& tensor) {
  std::ostringstream text;
  text << dtype_name(tensor.scalar_type());
  if (tensor.is_nested()) {
    text << " nested";
  } else {
    text << tensor.sizes();
  }
  if (tensor.layout() != at::kStrided) text << " (" << tensor.layout() << ")";
  if (!tensor.is_cpu()) text << " on " << tensor.device();
  return text.str();
}

void check_plain(const at::Tensor& tensor) {
  const bool plain = tensor.layout() == at::kStrided && !tensor.is_nested() && !tensor.is_quantized() &&
      !tensor._is_zerotensor() && tensor.has_storage();
  TORCH_CHECK(plain, "the elements of ", describe(tensor), " do not lie in memory by shape and strides");
  if (tensor.numel() == 0) return;
  const size_t needed = at::detail::computeStorageNbytes(tensor.sizes(), tensor.strides(), tensor.element_size(),
                                                         tensor.storage_offset());
  TORCH_CHECK(tensor.storage().data() && tensor.storage().nbytes() >= needed, describe(tensor),
              " lacks memory for its elements");
}

at::Tensor plain_tensor(double handle) {
  at::Tensor tensor = tensors().get(handle);
  check_plain(tensor);
  return tensor;
}

namespace {

std::string json_string(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (static_cast<unsigned char>(c) >= 0x20) {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::vector<int64_t> shape_from_frame(uint32_t dimensions) {
  TORCH_CHECK(dimensions <= 64, "a tensor has at most 64 dimensions, not ", dimensions);
  const double* sizes = thread_frame().payload;
  for (uint32_t i = 0; i < dimensions; ++i) {
    TORCH_CHECK(whole(sizes[i]) && sizes[i] >= 0, "a size must be a whole number of 0 or more, not ", sizes[i]);
  }
  return std::vector<int64_t>(sizes, sizes + dimensions);
}

void check_size(const std::vector<int64_t>& shape, at::ScalarType dtype, double bytes) {
  double wanted = static_cast<double>(c10::elementSize(dtype));
  for (const int64_t size : shape) wanted *= static_cast<double>(size);
  TORCH_CHECK(wanted == bytes, "shape ", c10::IntArrayRef(shape), " of ", dtype_name(dtype), " takes ", wanted,
              " bytes, the buffer has ", bytes);
}

// The element type of a buffer. Quantized types need a scale and a zero point beside the bytes.
at::ScalarType buffer_dtype(double number) {
  const at::ScalarType type = checked_dtype(number);
  TORCH_CHECK(!at::isQIntType(type), "a buffer cannot hold elements of ", dtype_name(type));
  return type;
}

// Compilers take for granted that a bool is one of two bytes.
void check_bools(at::ScalarType type, const uint8_t* data, double bytes) {
  TORCH_CHECK(type != at::kBool || std::all_of(data, data + static_cast<size_t>(bytes), [](uint8_t byte) { return byte < 2; }),
              "a bool is a byte of 0 or 1");
}

// Tickets of borrowed buffers that libtorch has let go of, from whichever thread did it. Each borrowing thread has a
// list of its own, for tickets of different threads may be equal.
struct Released {
  std::mutex mutex;
  std::vector<double> tickets;
};

const std::shared_ptr<Released>& released() {
  static thread_local const auto list = std::make_shared<Released>();
  return list;
}

}  // namespace
}  // namespace stec

using namespace stec;

uint32_t stec_abi_version(void) { return STEC_ABI_VERSION; }

int32_t stec_use_frame(uint8_t* memory, double bytes) {
  STEC_GUARD(STEC_FAILED, {
    TORCH_CHECK(memory && reinterpret_cast<uintptr_t>(memory) % alignof(stec_frame) == 0, "a frame must be aligned");
    TORCH_CHECK(bytes == sizeof(stec_frame), "the frame has ", sizeof(stec_frame), " bytes, not ", bytes);
    own_frame = reinterpret_cast<stec_frame*>(memory);
    return 0;
  })
}

uint32_t stec_last_error(uint8_t* out, uint32_t capacity) { return copy_text(last_error(), out, capacity); }

int32_t stec_describe(uint8_t* out, uint32_t capacity) {
  STEC_GUARD(STEC_FAILED, {
    const std::string text = std::string("{\"version\":\"") + TORCH_VERSION + "\",\"cpuCapability\":" +
        json_string(at::get_cpu_capability()) + ",\"threads\":" + std::to_string(at::get_num_threads()) +
        ",\"configuration\":" + json_string(at::show_config()) + "}";
    return static_cast<int32_t>(copy_text(text, out, capacity));
  })
}

int32_t stec_set_threads(uint32_t threads) {
  STEC_GUARD(STEC_FAILED, {
    TORCH_CHECK(threads > 0 && threads <= 1024, "the number of threads must be 1 to 1,024, not ", threads);
    at::set_num_threads(static_cast<int>(threads));
    return 0;
  })
}

int32_t stec_threads(void) {
  STEC_GUARD(STEC_FAILED, { return at::get_num_threads(); })
}

double stec_tensor_from_bytes(const uint8_t* data, double bytes, int32_t dtype, uint32_t dimensions) {
  STEC_GUARD(STEC_FAILED, {
    const auto shape = shape_from_frame(dimensions);
    const auto type = buffer_dtype(dtype);
    check_size(shape, type, bytes);
    check_bools(type, data, bytes);
    at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(type));
    if (bytes > 0) std::memcpy(tensor.data_ptr(), data, static_cast<size_t>(bytes));
    return tensors().insert(std::move(tensor));
  })
}

double stec_tensor_borrow_bytes(uint8_t* data, double bytes, int32_t dtype, uint32_t dimensions, double ticket) {
  STEC_GUARD(STEC_FAILED, {
    const auto shape = shape_from_frame(dimensions);
    const auto type = buffer_dtype(dtype);
    check_size(shape, type, bytes);
    check_bools(type, data, bytes);
    TORCH_CHECK(reinterpret_cast<uintptr_t>(data) % c10::elementSize(type) == 0, "a borrowed buffer must be aligned");
    const auto release = [ticket, list = released()](void*) {
      std::lock_guard<std::mutex> lock(list->mutex);
      list->tickets.push_back(ticket);
    };
    return tensors().insert(at::from_blob(data, shape, release, at::TensorOptions().dtype(type)));
  })
}

int32_t stec_released(void) {
  STEC_GUARD(STEC_FAILED, {
    std::lock_guard<std::mutex> lock(released()->mutex);
    auto& tickets = released()->tickets;
    const size_t count = std::min<size_t>(tickets.size(), STEC_PAYLOAD);
    std::copy(tickets.end() - count, tickets.end(), thread_frame().payload);
    tickets.resize(tickets.size() - count);
    return static_cast<int32_t>(count);
  })
}

int32_t stec_tensor_copy_bytes(double tensor, uint8_t* out, double bytes) {
  STEC_GUARD(STEC_FAILED, {
    const at::Tensor source = plain_tensor(tensor);
    TORCH_CHECK(static_cast<double>(source.nbytes()) == bytes, "the tensor has ", source.nbytes(),
                " bytes, the buffer ", bytes);
    // Straight into the caller's memory, whatever the strides: a contiguous copy beside it could be the largest tensor's.
    const auto options = at::TensorOptions().dtype(source.scalar_type());
    const bool aligned = reinterpret_cast<uintptr_t>(out) % source.element_size() == 0;
    if (bytes == 0) return 0;
    at::Tensor target = aligned ? at::from_blob(out, source.sizes(), options) : at::empty(source.sizes(), options);
    target.copy_(source.detach());
    if (!aligned) std::memcpy(out, target.const_data_ptr(), static_cast<size_t>(bytes));
    return 0;
  })
}

int32_t stec_tensor_put_bytes(double tensor, double offset, const uint8_t* data, double bytes) {
  STEC_GUARD(STEC_FAILED, {
    const at::Tensor target = plain_tensor(tensor);
    TORCH_CHECK(target.is_cpu() && target.is_non_overlapping_and_dense(), "the tensor must be on the CPU, without gaps");
    TORCH_CHECK(offset >= 0 && bytes >= 0 && offset + bytes <= static_cast<double>(target.nbytes()), "bytes ", offset,
                " to ", offset + bytes, " of a tensor that has ", target.nbytes());
    check_bools(target.scalar_type(), data, bytes);
    auto* elements = static_cast<uint8_t*>(target.mutable_data_ptr());
    if (bytes > 0) std::memcpy(elements + static_cast<size_t>(offset), data, static_cast<size_t>(bytes));
    return 0;
  })
}

int32_t stec_tensor_info(double tensor) {
  STEC_GUARD(STEC_FAILED, {
    const at::Tensor source = tensors().get(tensor);
    TORCH_CHECK(source.dim() <= STEC_PAYLOAD / 4, "it has too many dimensions: ", source.dim());
    double* out = thread_frame().payload;
    *out++ = static_cast<double>(source.scalar_type());
    *out++ = static_cast<double>(source.device().type());
    *out++ = source.device().index();
    *out++ = source.requires_grad();
    *out++ = source.is_leaf();
    *out++ = source.is_contiguous();
    *out++ = source.dim() == 4 && source.is_contiguous(at::MemoryFormat::ChannelsLast);
    *out++ = static_cast<double>(source.numel());
    *out++ = static_cast<double>(source.element_size());
    *out++ = static_cast<double>(source.storage_offset());
    out = std::copy(source.sizes().begin(), source.sizes().end(), out);
    std::copy(source.strides().begin(), source.strides().end(), out);
    return static_cast<int32_t>(source.dim());
  })
}

int32_t stec_tensor_same(double a, double b) {
  STEC_GUARD(STEC_FAILED, { return tensors().get(a).is_same(tensors().get(b)); })
}

int32_t stec_tensor_free(double tensor) {
  STEC_GUARD(STEC_FAILED, {
    TORCH_CHECK(tensors().erase(tensor), "this tensor was already freed, or never existed");
    return 0;
  })
}

int32_t stec_tensor_free_all(uint32_t count) {
  STEC_GUARD(STEC_FAILED, {
    TORCH_CHECK(count <= STEC_PAYLOAD, "a frame holds ", STEC_PAYLOAD, " handles, not ", count);
    const double* handles = thread_frame().payload;
    for (uint32_t i = 0; i < count; ++i) tensors().erase(handles[i]);
    return 0;
  })
}

int32_t stec_counters(void) {
  STEC_GUARD(STEC_FAILED, {
    std::unordered_set<const void*> seen;
    double bytes = 0;
    for (const at::Tensor& tensor : tensors().all()) {
      if (!tensor.defined() || !tensor.has_storage()) continue;
      const auto* storage = tensor.storage().unsafeGetStorageImpl();
      if (seen.insert(storage).second) bytes += static_cast<double>(tensor.storage().nbytes());
    }
    double* out = thread_frame().payload;
    out[0] = static_cast<double>(tensors().live());
    out[1] = bytes;
    out[2] = static_cast<double>(generators().live());
    return 0;
  })
}

double stec_generator_new(double seed) {
  STEC_GUARD(STEC_FAILED, {
    TORCH_CHECK(whole(seed), "a seed must be a whole number, not ", seed);
    return generators().insert(at::detail::createCPUGenerator(static_cast<uint64_t>(static_cast<int64_t>(seed))));
  })
}

int32_t stec_generator_free(double generator) {
  STEC_GUARD(STEC_FAILED, {
    TORCH_CHECK(generators().erase(generator), "this generator was already freed, or never existed");
    return 0;
  })
}
