// The handles of tensors and generators, and the frame.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cmath>
#include <string>
#include <vector>

#include "handle_table.h"
#include "stec.h"

namespace stec {

// A table that is never destroyed: worker threads may still hold handles while the process ends.
template <typename Table>
Table& immortal() {
  static auto* table = new Table();
  return *table;
}

using TensorTable = HandleTable<at::Tensor, 0>;

// Visible, as all tables are: the library for CUDA uses those of this one.
STEC_API TensorTable& tensors();
STEC_API HandleTable<at::Generator, 1>& generators();

// The calling thread's frame.
STEC_API stec_frame& thread_frame();

// Reads `count` handles at payload[offset]; handle 0 is a tensor that is not defined.
STEC_API std::vector<at::Tensor> tensor_list(const TensorTable::Locked& table, const stec_frame& frame,
                                             double offset, uint32_t count);

// For messages: "float32[2, 3]".
std::string describe(const at::Tensor& tensor);

// The tensor of a handle whose elements this library reads or writes itself, or passes to code that does so unchecked.
// Throws where they do not lie in memory as shape and strides say: quantized, sparse, nested, oneDNN's and meta tensors.
at::Tensor plain_tensor(double handle);
void check_plain(const at::Tensor& tensor);

// Copies text, at most `capacity` bytes; returns its full length.
uint32_t copy_text(const std::string& text, uint8_t* out, uint32_t capacity);

// The element type with this number, checked: libtorch itself would read past the end of its tables.
at::ScalarType checked_dtype(double number);

// A whole number that a double holds exactly.
inline bool whole(double number) { return number == std::trunc(number) && std::abs(number) <= 9007199254740992.0; }

}  // namespace stec
