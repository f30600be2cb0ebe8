// The start-up of dist/stec. It answers --version, --help and unknown flags by itself; for anything else it unpacks
// what is appended to its own file into the user's cache, once, and becomes Deno running the program from there.
//
// The file: this program, zstd frames with checksums, the index (a frame, too), and a trailer of 32 bytes: the
// index's offset and size, the file's size (64 bits each, little-endian), and a magic number.
// The index, a line each, fields between tabs: `key K`, `page COMMAND OFFSET SIZE`,
// `file MODE OFFSET SIZE PATH`, `manifest OFFSET SIZE PATH` (in which @FOLDER@ becomes the folder's path).

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

using std::string;

[[noreturn]] void fail(const string& sentence, int status = 1) {
  dprintf(2, "%s\n", sentence.c_str());
  _exit(status);
}

[[noreturn]] void fail_errno(const string& what) { fail(what + ": " + strerror(errno)); }

struct Entry {
  std::vector<string> fields;
  uint64_t number(size_t i) const { return strtoull(fields[i].c_str(), nullptr, 10); }
};

const char* base;
uint64_t length;

[[noreturn]] void damaged(const char* how) {
  fail(string("Cannot start: this copy of the executable is ") + how + "; copy it again");
}

/// Decompresses a frame and hands each piece to `sink`.
template <class Sink>
void decompress(uint64_t offset, uint64_t size, Sink sink) {
  if (offset > length || size > length - offset) damaged("damaged");
  ZSTD_DCtx* context = ZSTD_createDCtx();
  ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 30);
  std::vector<char> buffer(1 << 20);
  ZSTD_inBuffer in{base + offset, size, 0};
  size_t left = 1;
  while (left != 0) {
    ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
    const size_t before = in.pos;
    left = ZSTD_decompressStream(context, &out, &in);
    if (ZSTD_isError(left) || (left != 0 && in.pos == before && out.pos == 0)) damaged("damaged");
    sink(buffer.data(), out.pos);
  }
  ZSTD_freeDCtx(context);
}

string text(uint64_t offset, uint64_t size) {
  string result;
  decompress(offset, size, [&](const char* data, size_t n) { result.append(data, n); });
  return result;
}

std::vector<Entry> read_index() {
  const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0) fail_errno("Cannot read this executable through /proc/self/exe");
  length = info.st_size;
  base = static_cast<const char*>(mmap(nullptr, length, PROT_READ, MAP_PRIVATE, fd, 0));
  if (base == MAP_FAILED) fail_errno("Cannot map this executable");
  uint64_t trailer[4];
  memcpy(trailer, base + length - sizeof trailer, sizeof trailer);
  if (memcmp(&trailer[3], "STECPACK", 8) != 0 || trailer[2] != length) damaged("truncated");
  std::vector<Entry> entries(1);
  string field;
  for (const char c : text(trailer[0], trailer[1])) {
    if (c != '\t' && c != '\n') { field += c; continue; }
    entries.back().fields.push_back(field);
    field.clear();
    if (c == '\n') entries.emplace_back();
  }
  entries.pop_back();
  return entries;
}

/// Refuses a folder that somebody else could have filled.
void check_private(const string& folder) {
  struct stat info;
  if (lstat(folder.c_str(), &info) != 0) fail_errno("Cannot look at the cache " + folder);
  if (!S_ISDIR(info.st_mode)) fail("Cannot use the cache " + folder + ": it is not a folder; set STEC_CACHE to another");
  if (info.st_uid != geteuid()) fail("Cannot use the cache " + folder + ": it belongs to another user; set STEC_CACHE to a folder of your own");
  if (info.st_mode & 022) fail("Cannot use the cache " + folder + ": others may write to it; run `chmod go-w` on it or set STEC_CACHE to another folder");
}

void make_folders(const string& path) {
  for (size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    const string part = path.substr(0, at);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST && access(part.c_str(), X_OK) != 0)
      fail_errno("Cannot make the folder " + part + " (set STEC_CACHE to a folder that can be written)");
    if (at == string::npos) return;
  }
}

string cache_folder() {
  const auto variable = [](const char* name) { const char* v = getenv(name); return string(v ? v : ""); };
  string folder = variable("STEC_CACHE");
  if (folder.empty() && !variable("XDG_CACHE_HOME").empty()) folder = variable("XDG_CACHE_HOME") + "/stec";
  if (folder.empty() && !variable("HOME").empty()) folder = variable("HOME") + "/.cache/stec";
  if (folder.empty()) fail("Cannot find a cache: set STEC_CACHE to a folder that can be written");
  if (folder[0] != '/') {
    char* here = getcwd(nullptr, 0);
    folder = string(here ? here : "") + "/" + folder;
  }
  if (folder.find_first_of(",\"\\\n") != string::npos) fail("Cannot use the cache " + folder + ": Deno cannot be permitted paths with commas, quotes or backslashes");
  return folder;
}

void write_file(const string& path, mode_t mode, const string* content, uint64_t offset, uint64_t size) {
  make_folders(path.substr(0, path.rfind('/')));
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) fail_errno("Cannot write " + path);
  const auto put = [&](const char* data, size_t n) {
    for (ssize_t done; n > 0; data += done, n -= done)
      if ((done = write(fd, data, n)) < 0) fail_errno("Cannot unpack into " + path + " (set STEC_CACHE to a folder with more room)");
  };
  if (content) put(content->data(), content->size());
  else decompress(offset, size, put);
  if (fsync(fd) != 0 || close(fd) != 0) fail_errno("Cannot unpack into " + path);
}

/// Unpacks everything under `temporary`, which becomes `folder` when it is whole.
void unpack(const std::vector<Entry>& index, const string& temporary, const string& folder) {
  if (mkdir(temporary.c_str(), 0700) != 0) fail_errno("Cannot make the folder " + temporary);
  for (const Entry& e : index) {
    if (e.fields[0] == "file") {
      write_file(temporary + "/" + e.fields[4], strtoul(e.fields[1].c_str(), nullptr, 8), nullptr, e.number(2), e.number(3));
    } else if (e.fields[0] == "manifest") {
      string content = text(e.number(1), e.number(2));
      const string mark = "@FOLDER@";
      for (size_t at; (at = content.find(mark)) != string::npos;) content.replace(at, mark.size(), folder);
      write_file(temporary + "/" + e.fields[3], 0600, &content, 0, 0);
    }
  }
  if (rename(temporary.c_str(), folder.c_str()) != 0) fail_errno("Cannot rename " + temporary);
}

/// The folder with the unpacked program. The first process unpacks; others wait for it.
string unpacked(const std::vector<Entry>& index) {
  const string cache = cache_folder(), all = cache + "/executable", folder = all + "/" + index[0].fields[1];
  make_folders(all);
  check_private(cache);
  check_private(all);
  if (access(folder.c_str(), F_OK) != 0) {
    const int lock = open((folder + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0) fail_errno("Cannot write to the cache " + all + " (set STEC_CACHE to a folder that can be written)");
    if (flock(lock, LOCK_EX) != 0) fail_errno("Cannot lock the cache " + all);
    if (access(folder.c_str(), F_OK) != 0) unpack(index, folder + "." + std::to_string(getpid()), folder);
    close(lock);
  }
  check_private(folder);
  return folder;
}

/// Answers what needs no unpacking: help, the version, unknown commands and flags.
void answer(const std::vector<Entry>& index, int count, char** arguments) {
  const auto page = [&](const string& name) -> const Entry* {
    for (const Entry& e : index) if (e.fields[0] == "page" && e.fields[1] == name) return &e;
    return nullptr;
  };
  const auto print = [&](const Entry* e) {
    const string content = text(e->number(2), e->number(3));
    if (write(1, content.data(), content.size()) < 0) _exit(1);
    _exit(0);
  };
  const string first = count > 1 ? arguments[1] : "--help";
  if (first == "--version" || first == "-V") print(page("--version"));
  if (first == "--help" || first == "-h") print(page("--help"));
  const Entry* help = page(first);
  if (!help) fail(string("Unknown ") + (first[0] == '-' ? "flag " : "command ") + first + ": --help lists them", 2);
  string known;
  for (int i = 2; i < count; i++) {
    const string argument = arguments[i], flag = argument.substr(0, argument.find('='));
    if (flag == "--") break;
    if (flag == "--help" || flag == "-h") print(help);
    if (flag.rfind("--", 0) != 0) continue;
    if (known.empty()) known = text(help->number(2), help->number(3));
    const size_t at = known.find(flag);
    bool found = false;
    for (size_t p = at; p != string::npos && !found; p = known.find(flag, p + 1)) {
      const char after = p + flag.size() < known.size() ? known[p + flag.size()] : ' ';
      found = !isalnum(after) && after != '_' && after != '-';
    }
    if (!found && flag.rfind("--no-", 0) != 0) fail("Unknown flag " + flag + ": --help lists them", 2);
  }
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<Entry> index = read_index();
  answer(index, count, arguments);
  const string folder = unpacked(index), deno = folder + "/deno", run = "--allow-run=" + deno,
               script = folder + "/cli.ts";
  setenv("STEC_NATIVE", (folder + "/native.json").c_str(), 1);
  setenv("DENO_DIR", (folder + "/deno_dir").c_str(), 1);
  setenv("DENO_NO_UPDATE_CHECK", "1", 1);
  std::vector<const char*> command{
      deno.c_str(), "run", "--no-prompt", "--cached-only", "--allow-read",
      "--allow-env=STEC_*,OMP_WAIT_POLICY,XDG_CACHE_HOME,HOME", run.c_str(), script.c_str()};
  for (int i = 1; i < count; i++) command.push_back(arguments[i]);
  command.push_back(nullptr);
  execv(deno.c_str(), const_cast<char**>(command.data()));
  fail_errno("Cannot start " + deno);
}
