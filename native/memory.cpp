// Memory of tensors on the CPU: large blocks that are freed are kept for the next step.
//
// The C library gives a large block back to the system as soon as it is freed and maps a new one for the next tensor, whose
// pages the kernel has to clear again: up to a third of a training step. Steps ask for the same sizes again and again,
// so that a list of free blocks for each size, as the allocator for GPUs has, does away with that.

#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <vector>

namespace {

// Comes before each block and keeps its alignment.
struct alignas(64) Header {
  size_t bytes;
};

constexpr size_t kLarge = 1 << 16;

class KeepingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* data = bytes == 0 ? nullptr : take(bytes < kLarge ? bytes : rounded(bytes));
    return {data, data, &release, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &release; }

  void copy_data(void* target, const void* source, size_t bytes) const override {
    default_copy_data(target, source, bytes);
  }

 private:
  // Few sizes, so that a block often fits again: eight between a power of two and the next.
  static size_t rounded(size_t bytes) {
    const size_t step = std::bit_floor(bytes) / 8;
    return (bytes + step - 1) / step * step;
  }

  void* take(size_t bytes) {
    Header* block = nullptr;
    if (bytes >= kLarge) block = take_kept(bytes);
    if (!block) block = make(bytes);
    // What could not be had does not count.
    if (bytes >= kLarge) count(bytes);
    block->bytes = bytes;
    return block + 1;
  }

  Header* make(size_t bytes) {
    try {
      return static_cast<Header*>(c10::alloc_cpu(sizeof(Header) + bytes));
    } catch (const c10::Error&) {
      give_back();
      return static_cast<Header*>(c10::alloc_cpu(sizeof(Header) + bytes));
    }
  }

  Header* take_kept(size_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto found = kept_.find(bytes);
    if (found == kept_.end() || found->second.empty()) return nullptr;
    Header* block = found->second.back();
    found->second.pop_back();
    kept_bytes_ -= bytes;
    return block;
  }

  void count(size_t bytes) {
    const std::lock_guard lock(mutex_);
    used_ += bytes;
    most_used_ = std::max(most_used_, used_);
  }

  // A step's sizes are all kept: each is most in use at another time, together they take less than twice the most that
  // was in use at once. More than that is left from other sizes, and goes back to the system.
  bool keep(Header* block) {
    const std::lock_guard lock(mutex_);
    used_ -= block->bytes;
    if (kept_bytes_ + block->bytes > 2 * most_used_) return false;
    kept_[block->bytes].push_back(block);
    kept_bytes_ += block->bytes;
    return true;
  }

  void give_back() {
    const std::lock_guard lock(mutex_);
    for (const auto& [bytes, blocks] : kept_) std::for_each(blocks.begin(), blocks.end(), c10::free_cpu);
    kept_.clear();
    kept_bytes_ = 0;
  }

  static void release(void* data);

  std::mutex mutex_;
  std::map<size_t, std::vector<Header*>> kept_;
  size_t kept_bytes_ = 0, used_ = 0, most_used_ = 0;
};

// Never destroyed: tensors may outlive everything else.
KeepingAllocator& allocator() {
  static auto* only = new KeepingAllocator();
  return *only;
}

void KeepingAllocator::release(void* data) {
  if (!data) return;
  Header* block = static_cast<Header*>(data) - 1;
  if (block->bytes < kLarge || !allocator().keep(block)) c10::free_cpu(block);
}

[[gnu::constructor]] void use_it() { c10::SetCPUAllocator(&allocator()); }

}  // namespace
