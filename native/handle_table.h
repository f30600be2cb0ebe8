// Handles: numbers that name objects, checked at every use.
#pragma once

#include <c10/util/Exception.h>

#include <cstdint>
#include <deque>
#include <iterator>
#include <mutex>
#include <utility>
#include <vector>

namespace stec {

// A table of objects. A handle is a whole number below 2^53: 24 bits of index, 3 bits that tell tables apart, and 26
// bits that count how often the place was used, so that a freed handle is not taken for its successor. A place whose
// count is full is never used again.
template <typename T, uint64_t kind>
class HandleTable {
  static constexpr uint64_t kPlaces = 1 << 24, kMostUses = (1 << 26) - 1;

 public:
  // Several lookups under one lock.
  class Locked {
   public:
    explicit Locked(HandleTable& table) : table_(table), lock_(table.mutex_) {}

    // A copy, so that the object stays alive for the caller whatever other threads free.
    T get(double handle) const {
      const Place* place = table_.find(handle);
      TORCH_CHECK(place, "this ", T_name(), " was already freed, or never existed");
      return place->object;
    }

    double insert(T object) {
      uint64_t index;
      if (table_.free_.empty()) {
        index = table_.places_.size();
        TORCH_CHECK(index < kPlaces, "too many live ", T_name(), "s: 16,777,216");
        table_.places_.emplace_back();
      } else {
        index = table_.free_.back();
        table_.free_.pop_back();
      }
      Place& place = table_.places_[index];
      place.object = std::move(object);
      place.live = true;
      ++table_.live_;
      return static_cast<double>((place.uses << 27) | (kind << 24) | index);
    }

   private:
    HandleTable& table_;
    std::lock_guard<std::mutex> lock_;
  };

  Locked locked() { return Locked(*this); }
  T get(double handle) { return locked().get(handle); }
  double insert(T object) { return locked().insert(std::move(object)); }

  bool erase(double handle) {
    T released;  // Destroyed after the lock is given back: a destructor may take long.
    {
      std::lock_guard<std::mutex> lock(mutex_);
      Place* place = find(handle);
      if (!place) return false;
      if (place->uses < kMostUses) free_.push_back(static_cast<uint32_t>(place_index(handle)));
      released = std::move(place->object);
      place->object = T();
      place->live = false;
      ++place->uses;
      --live_;
    }
    return true;
  }

  uint64_t live() {
    std::lock_guard<std::mutex> lock(mutex_);
    return live_;
  }

  std::vector<T> all() {
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<T> objects;
    objects.reserve(live_);
    for (const Place& place : places_) {
      if (place.live) objects.push_back(place.object);
    }
    return objects;
  }

 private:
  struct Place {
    T object;
    uint64_t uses = 1;
    bool live = false;
  };

  static const char* T_name() {
    static const char* const names[] = {"tensor", "generator", "store", "process group", "reducer"};
    return kind < std::size(names) ? names[kind] : "object";
  }
  static uint64_t place_index(double handle) { return static_cast<uint64_t>(handle) & (kPlaces - 1); }

  Place* find(double handle) {
    if (!(handle > 0 && handle < 9007199254740992.0)) return nullptr;
    const uint64_t bits = static_cast<uint64_t>(handle);
    if (static_cast<double>(bits) != handle) return nullptr;
    const uint64_t index = place_index(handle);
    if (index >= places_.size()) return nullptr;
    Place& place = places_[index];
    if (!place.live || ((bits >> 24) & 7) != kind || (bits >> 27) != place.uses) return nullptr;
    return &place;
  }

  std::mutex mutex_;
  std::deque<Place> places_;
  std::vector<uint32_t> free_;
  uint64_t live_ = 0;
};

}  // namespace stec
