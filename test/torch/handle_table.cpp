// Uses one place of a table of handles more often than a handle can count, and checks that the first handle stays dead.

#include "handle_table.h"

#include <cstdio>

int main() {
  stec::HandleTable<int, 0> table;
  const double first = table.insert(1);
  double handle = first, highest = first;
  for (int i = 0; i < (1 << 26) + 100; ++i) {
    if (!table.erase(handle)) return std::puts("a live handle is not known"), 1;
    handle = table.insert(i);
    if (handle == first) return std::puts("the first handle was given out again"), 1;
    if (handle > highest) highest = handle;
  }
  if (highest >= 9007199254740992.0) return std::puts("a handle is too large for a double"), 1;
  if (table.erase(first) || table.erase(handle + 0.5)) return std::puts("a handle that nobody holds was freed"), 1;
  if (table.get(handle) != (1 << 26) + 99 || table.live() != 1) return std::puts("the last object is lost"), 1;
  return 0;
}
