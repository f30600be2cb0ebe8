// The operator itself, as scripts/bench_operator.ts measures it: at::add from C++, including freeing the result.

#include <ATen/ops/add.h>
#include <ATen/ops/ones.h>

#include <chrono>

// Nanoseconds of one at::add(x, y, alpha) of two float32 vectors.
extern "C" __attribute__((visibility("default"))) double bench_add(uint32_t elements, uint32_t calls) {
  const at::Tensor x = at::ones({elements});
  const at::Tensor y = at::ones({elements});
  const auto start = std::chrono::steady_clock::now();
  for (uint32_t i = 0; i < calls; ++i) at::add(x, y, 2);
  const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
  return taken.count() / calls;
}
