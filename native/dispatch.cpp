// One door to every operator of libtorch: arguments from the frame, converted as the operator's schema wants them.

#include <ATen/ScalarOps.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>
#include <c10/core/QScheme.h>
#include <c10/util/ScopeExit.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <sstream>
#include <unordered_map>

#include "guard.h"
#include "handles.h"

namespace stec {
namespace {

enum class Kind { Tensor, Int, DType, Layout, MemoryFormat, QScheme, Float, Bool, Scalar, String, Device, Generator, List, Other };

struct Parameter {
  Kind kind = Kind::Other;
  Kind element = Kind::Other;  // of a list
  bool optional = false;
  bool optional_element = false;  // Tensor?[]
  int32_t broadcast = 0;          // int[2]: a single number stands for two
  const c10::Argument* argument = nullptr;
};

struct Operator {
  c10::OperatorHandle handle;
  std::vector<Parameter> parameters;
  bool in_place = false;  // changes its first argument, a tensor
};

Kind kind_of(const c10::Type& type) {
  switch (type.kind()) {
    case c10::TypeKind::TensorType: return Kind::Tensor;
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType: return Kind::Int;
    case c10::TypeKind::ScalarTypeType: return Kind::DType;
    case c10::TypeKind::LayoutType: return Kind::Layout;
    case c10::TypeKind::MemoryFormatType: return Kind::MemoryFormat;
    case c10::TypeKind::QSchemeType: return Kind::QScheme;
    case c10::TypeKind::FloatType: return Kind::Float;
    case c10::TypeKind::BoolType: return Kind::Bool;
    case c10::TypeKind::NumberType: return Kind::Scalar;
    case c10::TypeKind::StringType: return Kind::String;
    case c10::TypeKind::DeviceObjType: return Kind::Device;
    case c10::TypeKind::GeneratorType: return Kind::Generator;
    case c10::TypeKind::ListType: return Kind::List;
    default: return Kind::Other;
  }
}

// T of an optional T; the type itself otherwise.
c10::TypePtr without_optional(const c10::TypePtr& type, bool& optional) {
  const auto cast = type->cast<c10::OptionalType>();
  if (!cast) return type;
  optional = true;
  return cast->getElementType();
}

Parameter parameter_of(const c10::Argument& argument) {
  Parameter parameter;
  parameter.argument = &argument;
  // The real type tells a dtype from an int.
  const c10::TypePtr type = without_optional(argument.real_type(), parameter.optional);
  parameter.kind = kind_of(*type);
  if (parameter.kind == Kind::List) {
    const c10::TypePtr element = type->expectRef<c10::ListType>().getElementType();
    parameter.element = kind_of(*without_optional(element, parameter.optional_element));
    parameter.broadcast = argument.N().value_or(0);
  }
  return parameter;
}

// Operators that were looked up, by number. They never go away, and are read without a lock.
struct Registry {
  static constexpr size_t kCapacity = 1 << 15;
  std::mutex mutex;
  std::unordered_map<std::string, uint32_t> numbers;
  std::array<std::atomic<const Operator*>, kCapacity> operators{};
};

Registry& registry() {
  static auto* instance = new Registry();
  return *instance;
}

const Operator& operator_at(uint32_t op) {
  const Operator* found = op < Registry::kCapacity ? registry().operators[op].load(std::memory_order_acquire) : nullptr;
  TORCH_CHECK(found, "no operator has the number ", op);
  return *found;
}

// Operators that cannot be called from here. One maps files into memory, past Deno's permissions; those of libtorch's
// compiler make tensors that reach beyond their memory.
bool is_denied(const std::string& base) { return base == "aten::from_file" || base.starts_with("inductor::"); }

uint32_t find_operator(const std::string& name) {
  std::lock_guard<std::mutex> lock(registry().mutex);
  auto& numbers = registry().numbers;
  if (const auto known = numbers.find(name); known != numbers.end()) return known->second;
  const size_t colons = name.find("::");
  const size_t dot = name.find('.', colons == std::string::npos ? 0 : colons);
  const std::string base = name.substr(0, dot);
  TORCH_CHECK(!is_denied(base), "the operator ", base, " cannot be called from here: it reaches beyond tensors");
  const std::string overload = dot == std::string::npos ? "" : name.substr(dot + 1);
  const auto handle = c10::Dispatcher::singleton().findSchema({base, overload});
  TORCH_CHECK(handle.has_value(), "libtorch has no operator ", name,
              ": a name looks like aten::add.Tensor, with the overload behind the dot");
  TORCH_CHECK(numbers.size() < Registry::kCapacity, "too many operators");
  auto found = std::make_unique<Operator>(Operator{*handle, {}});
  for (const c10::Argument& argument : handle->schema().arguments()) found->parameters.push_back(parameter_of(argument));
  if (!found->parameters.empty()) {
    const Parameter& first = found->parameters[0];
    const c10::AliasInfo* alias = first.argument->alias_info();
    found->in_place = first.kind == Kind::Tensor && alias && alias->isWrite();
  }
  const auto number = static_cast<uint32_t>(numbers.size());
  numbers.emplace(name, number);
  registry().operators[number].store(found.release(), std::memory_order_release);
  return number;
}

const char* tag_name(uint32_t tag) {
  static const char* const names[] = {"nothing", "null",        "a tensor",          "a number",           "a boolean", "a bigint",
                                      "a string", "a number list", "a tensor list", "a generator"};
  return tag < std::size(names) ? names[tag] : "an unknown tag";
}

[[noreturn]] void refuse(const Parameter& parameter, const stec_slot& slot) {
  TORCH_CHECK(false, "argument '", parameter.argument->name(), "' wants ", parameter.argument->type()->repr_str(),
              ", got ", tag_name(slot.tag));
}

int64_t to_int(const Parameter& parameter, double number) {
  TORCH_CHECK(whole(number), "argument '", parameter.argument->name(), "' wants a whole number, got ", number);
  return static_cast<int64_t>(number);
}

// The number of a layout, memory format or quantisation scheme below `count`. libtorch does not check it.
int64_t to_enumerator(const Parameter& parameter, double number, int64_t count) {
  const int64_t value = to_int(parameter, number);
  TORCH_CHECK(value >= 0 && value < count, "argument '", parameter.argument->name(), "' wants ",
              parameter.argument->real_type()->repr_str(), ", got the number ", value);
  return value;
}

c10::Scalar to_scalar(double number) {
  return whole(number) && !(number == 0 && std::signbit(number)) ? c10::Scalar(static_cast<int64_t>(number))
                                                                : c10::Scalar(number);
}

template <typename T, typename Convert>
c10::IValue list_of(const double* numbers, uint32_t count, Convert convert) {
  c10::List<T> list;
  list.reserve(count);
  for (uint32_t i = 0; i < count; ++i) list.push_back(convert(numbers[i]));
  return list;
}

c10::IValue number_list(const Parameter& parameter, const double* numbers, uint32_t count) {
  switch (parameter.element) {
    case Kind::Int: return list_of<int64_t>(numbers, count, [&](double n) { return to_int(parameter, n); });
    case Kind::Float: return list_of<double>(numbers, count, [](double n) { return n; });
    case Kind::Bool: return list_of<bool>(numbers, count, [](double n) { return n != 0; });
    case Kind::Scalar: return list_of<c10::Scalar>(numbers, count, to_scalar);
    default: TORCH_CHECK(false, "argument '", parameter.argument->name(), "' takes no list of numbers");
  }
}

c10::IValue tensor_list_value(const Parameter& parameter, const TensorTable::Locked& table, const stec_frame& frame,
                              const stec_slot& slot) {
  std::vector<at::Tensor> given = tensor_list(table, frame, slot.value.number, slot.count);
  if (!parameter.optional_element) {
    for (const at::Tensor& tensor : given) TORCH_CHECK(tensor.defined(), "a tensor list holds a missing tensor");
    return c10::List<at::Tensor>(given);
  }
  c10::List<std::optional<at::Tensor>> list;
  list.reserve(given.size());
  for (at::Tensor& tensor : given) {
    list.push_back(tensor.defined() ? std::optional<at::Tensor>(std::move(tensor)) : std::nullopt);
  }
  return list;
}

c10::IValue number_value(const Parameter& parameter, const stec_slot& slot) {
  const double number = slot.value.number;
  switch (parameter.kind) {
    case Kind::Int: return to_int(parameter, number);
    case Kind::DType: return static_cast<int64_t>(checked_dtype(number));
    case Kind::Layout: return to_enumerator(parameter, number, 1);  // strided: others have no memory to see
    case Kind::MemoryFormat: return to_enumerator(parameter, number, static_cast<int64_t>(at::MemoryFormat::NumOptions));
    case Kind::QScheme: return to_enumerator(parameter, number, at::COMPILE_TIME_NUM_QSCHEMES);
    case Kind::Float: return number;
    case Kind::Scalar: return to_scalar(number);
    case Kind::List:
      if (parameter.broadcast > 0) {
        return number_list(parameter, std::vector<double>(parameter.broadcast, number).data(), parameter.broadcast);
      }
      return number_list(parameter, &number, 1);
    case Kind::Tensor: {  // a number beside a tensor takes the tensor's dtype, as in Python
      at::Tensor wrapped = c10::scalar_to_tensor(to_scalar(number));
      wrapped.unsafeGetTensorImpl()->set_wrapped_number(true);
      return wrapped;
    }
    default: refuse(parameter, slot);
  }
}

c10::IValue to_value(const Parameter& parameter, const TensorTable::Locked& table, const stec_frame& frame,
                     const stec_slot& slot) {
  switch (slot.tag) {
    case STEC_DEFAULT:
      if (parameter.argument->default_value()) return *parameter.argument->default_value();
      TORCH_CHECK(parameter.optional, "argument '", parameter.argument->name(), "' has no default");
      return c10::IValue();
    case STEC_NONE:
      if (!parameter.optional) refuse(parameter, slot);
      return c10::IValue();
    case STEC_TENSOR:
      if (parameter.kind != Kind::Tensor) refuse(parameter, slot);
      return table.get(slot.value.number);
    case STEC_NUMBER: return number_value(parameter, slot);
    case STEC_BOOL:
      if (parameter.kind == Kind::Scalar) return c10::Scalar(slot.value.number != 0);
      if (parameter.kind != Kind::Bool) refuse(parameter, slot);
      return slot.value.number != 0;
    case STEC_INT64:
      if (parameter.kind == Kind::Scalar) return c10::Scalar(slot.value.integer);
      if (parameter.kind != Kind::Int) refuse(parameter, slot);
      return slot.value.integer;
    case STEC_STRING: {
      TORCH_CHECK(slot.value.number >= 0 && slot.value.number * 8 + slot.count <= sizeof(frame.payload),
                  "a string lies outside the frame");
      const std::string text(
          reinterpret_cast<const char*>(frame.payload + static_cast<size_t>(slot.value.number)), slot.count);
      if (parameter.kind == Kind::Device) return c10::Device(text);
      if (parameter.kind != Kind::String) refuse(parameter, slot);
      return text;
    }
    case STEC_NUMBERS:
      TORCH_CHECK(slot.value.number >= 0 && slot.value.number + slot.count <= STEC_PAYLOAD,
                  "a number list lies outside the frame");
      if (parameter.kind != Kind::List) refuse(parameter, slot);
      // An empty list carries no hint of its elements.
      if (slot.count == 0 && parameter.element == Kind::Tensor) return tensor_list_value(parameter, table, frame, slot);
      return number_list(parameter, frame.payload + static_cast<size_t>(slot.value.number), slot.count);
    case STEC_TENSORS:
      if (parameter.kind != Kind::List || parameter.element != Kind::Tensor) refuse(parameter, slot);
      return tensor_list_value(parameter, table, frame, slot);
    case STEC_GENERATOR:
      if (parameter.kind != Kind::Generator) refuse(parameter, slot);
      return generators().get(slot.value.number);
    default: refuse(parameter, slot);
  }
}

void put_tensor(TensorTable::Locked& table, stec_slot& slot, const at::Tensor& tensor, const at::Tensor& first) {
  if (!tensor.defined()) {
    slot.tag = STEC_NONE;
  } else if (first.defined() && tensor.is_same(first)) {
    slot.tag = STEC_FIRST;
  } else {
    slot.tag = STEC_TENSOR;
    slot.value.number = table.insert(tensor);
  }
}

void put_result(TensorTable::Locked& table, stec_frame& frame, stec_slot& slot, const c10::IValue& value,
                const at::Tensor& first, size_t& used) {
  slot.count = 0;
  if (value.isTensor()) {
    put_tensor(table, slot, value.toTensor(), first);
  } else if (value.isBool()) {
    slot.tag = STEC_BOOL;
    slot.value.number = value.toBool();
  } else if (value.isDouble()) {
    slot.tag = STEC_NUMBER;
    slot.value.number = value.toDouble();
  } else if (value.isInt()) {
    slot.tag = STEC_INT64;
    slot.value.integer = value.toInt();
  } else if (value.isNone()) {
    slot.tag = STEC_NONE;
  } else if (value.isTensorList()) {
    const auto list = value.toTensorVector();
    TORCH_CHECK(used + list.size() <= STEC_PAYLOAD, "too many results for one call: ", list.size());
    slot.tag = STEC_TENSORS;
    slot.count = static_cast<uint32_t>(list.size());
    slot.value.number = static_cast<double>(used);
    for (const at::Tensor& tensor : list) frame.payload[used++] = tensor.defined() ? table.insert(tensor) : 0;
  } else {
    TORCH_CHECK(false, "a result of type ", value.tagKind(), " cannot be passed on");
  }
}

// The tensors among the arguments, for an error message: "float32[2, 3], float32[4, 5]". They are read from the frame,
// for an operator that fails has taken lists from the stack.
std::string describe_arguments(const stec_frame& frame, uint32_t arguments) {
  const auto table = tensors().locked();
  std::ostringstream text;
  const auto add = [&](double handle) {
    if (text.tellp() > 0) text << ", ";
    text << (handle == 0 ? "None" : describe(table.get(handle)));
  };
  for (uint32_t i = 0; i < arguments; ++i) {
    const stec_slot& slot = frame.slots[i];
    if (slot.tag == STEC_TENSOR) add(slot.value.number);
    if (slot.tag != STEC_TENSORS) continue;
    const double* handles = frame.payload + static_cast<size_t>(slot.value.number);
    for (uint32_t k = 0; k < std::min(slot.count, 4u); ++k) add(handles[k]);
    if (slot.count > 4) text << ", ... (" << slot.count << " tensors)";
  }
  return text.str();
}

// The arguments, then results, of a call. One for each thread, so that a call allocates nothing itself: no operator
// calls back into this library.
std::vector<c10::IValue>& thread_stack() {
  static thread_local std::vector<c10::IValue> stack;
  return stack;
}

int32_t call(const Operator& op, uint32_t arguments) {
  stec_frame& frame = thread_frame();
  TORCH_CHECK(arguments <= op.parameters.size() && arguments <= STEC_SLOTS, "takes at most ", op.parameters.size(),
              " arguments, got ", arguments, ": ", op.handle.schema());
  static constexpr stec_slot absent{STEC_DEFAULT, 0, {0}};
  std::vector<c10::IValue>& stack = thread_stack();
  const auto clear = c10::make_scope_exit([&stack] { stack.clear(); });
  {
    const auto table = tensors().locked();
    for (size_t i = 0; i < op.parameters.size(); ++i) {
      stack.push_back(to_value(op.parameters[i], table, frame, i < arguments ? frame.slots[i] : absent));
    }
  }
  const at::Tensor first = op.in_place && stack[0].isTensor() ? stack[0].toTensor() : at::Tensor();
  try {
    op.handle.callBoxed(stack);
  } catch (const c10::Error& error) {
    const std::string described = describe_arguments(frame, arguments);
    TORCH_CHECK(false, brief(error), described.empty() ? "" : " (arguments: " + described + ")");
  }
  TORCH_CHECK(stack.size() <= STEC_SLOTS, "too many results for one call: ", stack.size());
  size_t used = 0;
  auto table = tensors().locked();
  for (size_t i = 0; i < stack.size(); ++i) put_result(table, frame, frame.slots[i], stack[i], first, used);
  return static_cast<int32_t>(stack.size());
}

// The schemas of all overloads of an operator, or of all operators if no name is given, a line each, in a fixed order.
std::string schemas_of(const std::string& name) {
  std::vector<std::string> lines;
  for (const c10::OperatorName& each : c10::Dispatcher::singleton().getAllOpNames()) {
    if (is_denied(each.name) || (!name.empty() && each.name != name)) continue;
    const auto handle = c10::Dispatcher::singleton().findSchema(each);
    if (!handle) continue;
    std::ostringstream line;
    line << handle->schema();
    lines.push_back(line.str());
  }
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

}  // namespace
}  // namespace stec

using namespace stec;

int32_t stec_find_operator(const uint8_t* name, uint32_t length) {
  STEC_GUARD(STEC_FAILED, {
    return static_cast<int32_t>(find_operator(std::string(reinterpret_cast<const char*>(name), length)));
  })
}

int32_t stec_operator_schema(uint32_t op, uint8_t* out, uint32_t capacity) {
  STEC_GUARD(STEC_FAILED, {
    std::ostringstream text;
    text << operator_at(op).handle.schema();
    return static_cast<int32_t>(copy_text(text.str(), out, capacity));
  })
}

int32_t stec_operator_schemas(const uint8_t* name, uint32_t length, uint8_t* out, uint32_t capacity) {
  STEC_GUARD(STEC_FAILED, {
    const std::string text = schemas_of(std::string(reinterpret_cast<const char*>(name), length));
    return static_cast<int32_t>(copy_text(text, out, capacity));
  })
}

int32_t stec_call(uint32_t op, uint32_t arguments) {
  STEC_GUARD(STEC_FAILED, { return call(operator_at(op), arguments); })
}
