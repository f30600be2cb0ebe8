// What is appended to the executable's own file.
//
// The file: the start-up, zstd frames with checksums, the index (a frame, too), and a trailer of 32 bytes: the index's
// offset and length, the file's length (64 bits each, little-endian), and a magic number. `pack.ts` writes it.
//
// The index, a line each, fields between tabs:
//   key KEY                               names the content
//   parser OFFSET LENGTH                  the frame of the script that only understands the command line
//   command NAME ARGUMENT...              what Deno is told to run a command; the empty name stands for all others
//   file MODE SIZE OFFSET LENGTH PATH     a frame, and the file that it becomes
//   external                              libtorch is left out

#pragma once

#include <sys/mman.h>
#include <zstd.h>

#include <cstdint>
#include <cstdlib>
#include <vector>

#include "report.h"

namespace stec {

using Fields = std::vector<string>;

inline uint64_t number(const string& field) { return strtoull(field.c_str(), nullptr, 10); }

struct File {
  mode_t mode;
  uint64_t size, offset, length;
  string path;
};

class Archive {
 public:
  string key;
  uint64_t parser_offset = 0, parser_length = 0;
  std::vector<Fields> commands;
  std::vector<File> files;
  bool external = false;

  Archive() {
    map_own_file();
    uint64_t trailer[4];
    if (length_ < sizeof trailer) damaged("truncated");
    memcpy(trailer, base_ + length_ - sizeof trailer, sizeof trailer);
    if (memcmp(&trailer[3], "STECPACK", 8) != 0 || trailer[2] != length_) damaged("truncated");
    string index;
    decompress(trailer[0], trailer[1], [&](const char* data, size_t n) { index.append(data, n); });
    Fields fields(1);
    for (const char c : index) {
      if (c == '\t') {
        fields.emplace_back();
      } else if (c == '\n') {
        add(fields);
        fields.assign(1, "");
      } else {
        fields.back() += c;
      }
    }
  }

  /// Decompresses a frame and hands each piece to `sink`.
  template <class Sink>
  void decompress(uint64_t offset, uint64_t length, Sink sink) const {
    if (offset > length_ || length > length_ - offset) damaged("damaged");
    ZSTD_DCtx* context = ZSTD_createDCtx();
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 30);
    std::vector<char> buffer(1 << 20);
    ZSTD_inBuffer in{base_ + offset, length, 0};
    for (size_t left = 1; left != 0;) {
      ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
      const size_t before = in.pos;
      left = ZSTD_decompressStream(context, &out, &in);
      if (ZSTD_isError(left) || (left != 0 && in.pos == before && out.pos == 0)) damaged("damaged");
      sink(buffer.data(), out.pos);
    }
    ZSTD_freeDCtx(context);
  }

  uint64_t unpacked_size() const {
    uint64_t sum = 0;
    for (const File& file : files) sum += file.size;
    return sum;
  }

 private:
  const char* base_ = nullptr;
  uint64_t length_ = 0;

  [[noreturn]] static void damaged(const char* how) {
    fail(string("Cannot start: this copy of the executable is ") + how + "; copy it again");
  }

  void map_own_file() {
    const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail_errno("Cannot open /proc/self/exe", "Deno needs /proc, too: mount it");
    struct stat info;
    if (fstat(fd, &info) != 0) fail_errno("Cannot read the executable's own file");
    length_ = info.st_size;
    void* mapped = mmap(nullptr, length_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapped == MAP_FAILED) fail_errno("Cannot read the executable's own file");
    base_ = static_cast<const char*>(mapped);
    close(fd);
  }

  void add(const Fields& f) {
    if (f[0] == "key") key = f.at(1);
    if (f[0] == "external") external = true;
    if (f[0] == "parser") parser_offset = number(f.at(1)), parser_length = number(f.at(2));
    if (f[0] == "command") commands.emplace_back(f.begin() + 1, f.end());
    if (f[0] == "file") {
      const mode_t mode = strtoul(f.at(1).c_str(), nullptr, 8);
      files.push_back({mode, number(f.at(2)), number(f.at(3)), number(f.at(4)), f.at(5)});
    }
  }
};

}  // namespace stec
