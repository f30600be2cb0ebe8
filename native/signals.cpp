// Signals, where Deno leaves no choice.

#include <csignal>
#include <cstring>

#include "guard.h"

namespace {

volatile std::sig_atomic_t replacement = 0;

void pass_on(int) { std::raise(replacement); }

}  // namespace

int32_t stec_replace_signal(int32_t signal, int32_t by) {
  STEC_GUARD(STEC_FAILED, {
    replacement = by;
    struct sigaction action;
    std::memset(&action, 0, sizeof(action));
    action.sa_handler = pass_on;
    action.sa_flags = SA_RESTART;
    TORCH_CHECK(sigaction(signal, &action, nullptr) == 0, "signal ", signal, " cannot be handled");
    return 0;
  })
}
