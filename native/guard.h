// The only way out of the library: an exception becomes a status and a message.
#pragma once

#include <c10/util/Exception.h>

#include <exception>
#include <string>

#include "stec.h"

namespace stec {

// The message of the calling thread's last failure. Visible: the library for CUDA reports its failures by it.
STEC_API std::string& last_error();

// libtorch's message without the backtrace, nor the page about backends that follows where one lacks an operator.
STEC_API std::string brief(const c10::Error& error);

// Keeps a message. Without memory for it the message is lost, not the process.
inline void fail(const char* message) noexcept {
  try {
    last_error() = message;
  } catch (...) {
    last_error().clear();
  }
}

inline void fail(const c10::Error& error) noexcept {
  try {
    last_error() = brief(error);
  } catch (...) {
    last_error().clear();
  }
}

}  // namespace stec

// Runs the statements given and returns `failed` from the enclosing function if they throw.
#define STEC_GUARD(failed, ...)                                   \
  try {                                                           \
    __VA_ARGS__                                                   \
  } catch (const c10::Error& error) {                             \
    stec::fail(error);                                            \
  } catch (const std::exception& error) {                         \
    stec::fail(error.what());                                     \
  } catch (...) {                                                 \
    stec::fail("an unknown exception inside libtorch");           \
  }                                                               \
  return failed;
