// The folder in the user's cache that the executable is unpacked into: once for each content, whole or not at all, and
// never one that another user could have had a hand in.

#pragma once

#include <sys/file.h>
#include <sys/statfs.h>

#include <climits>

#include "archive.h"

namespace stec {

inline const string kAnother = "set STEC_CACHE to another folder";
inline const string kWritable = "set STEC_CACHE to a folder that can be written";

/// Where Deno keeps what it has translated.
inline const string kTranslated = "deno_dir";

inline volatile sig_atomic_t caught = 0;

inline string variable(const char* name) {
  const char* value = getenv(name);
  return value ? value : "";
}

/// The user's cache, as the program finds it; empty where nothing says where it is.
inline string cache_folder() {
  string folder = variable("STEC_CACHE");
  if (folder.empty() && !variable("XDG_CACHE_HOME").empty()) folder = variable("XDG_CACHE_HOME") + "/stec";
  if (folder.empty() && !variable("HOME").empty()) folder = variable("HOME") + "/.cache/stec";
  if (folder.empty() || folder[0] == '/') return folder;
  char here[PATH_MAX];
  return getcwd(here, sizeof here) ? string(here) + "/" + folder : "";
}

/// The real path of a folder; empty where there is none.
inline string real(const string& path) {
  char resolved[PATH_MAX];
  return realpath(path.c_str(), resolved) ? resolved : "";
}

/// Why a folder on the way to the cache, or with `own` one that holds what will be executed, is not safe to use. The
/// superuser could do anything anyway.
inline string distrust(const string& path, const struct stat& info, bool own) {
  // Inside a user namespace, owners from outside look like nobody.
  constexpr uid_t kOverflow = 65534;
  const bool known = info.st_uid == 0 || info.st_uid == geteuid() || (!own && info.st_uid == kOverflow);
  if (!known) return "Cannot use " + path + ": it belongs to another user; " + kAnother;
  // Who may write to a sticky folder, as /tmp is, may not replace what others have there.
  const bool writable = (info.st_mode & 022) && (own || !(info.st_mode & S_ISVTX));
  if (writable) return "Cannot use " + path + ": other users may write to it; run `chmod go-w` on it or " + kAnother;
  return "";
}

/// Why a folder, or one above it, is not safe to use; empty if all are. `path` has no links in it.
inline string distrust_way(const string& path) {
  for (size_t at = 0;; at = path.find('/', at + 1)) {
    const string part = at == 0 ? "/" : path.substr(0, at);
    struct stat info;
    if (lstat(part.c_str(), &info) != 0) return "Cannot use " + part + ": " + strerror(errno) + "; " + kAnother;
    if (!S_ISDIR(info.st_mode)) return "Cannot use " + part + ": it is not a folder; " + kAnother;
    const string reason = distrust(part, info, false);
    if (!reason.empty() || at == string::npos || part == path) return reason;
  }
}

enum class State { whole, incomplete, unsafe };

/// Looks at every file of an unpacked folder: it may have been tidied away in part, or have had other hands in it.
inline State inspect(const Archive& archive, const string& folder, string& reason) {
  struct stat info;
  if (lstat(folder.c_str(), &info) != 0) return State::incomplete;
  if (!S_ISDIR(info.st_mode)) reason = "Cannot use " + folder + ": it is not a folder; " + kAnother;
  if (reason.empty()) reason = distrust(folder, info, true);
  const string translated = folder + "/" + kTranslated;
  if (reason.empty() && lstat(translated.c_str(), &info) == 0) {
    reason = distrust(translated, info, true);
    if (reason.empty() && (info.st_mode & 077)) {
      reason = "Cannot use " + translated + ": other users may look into it; run `chmod go=` on it or " + kAnother;
    }
  }
  bool whole = true;
  for (const File& file : archive.files) {
    if (!reason.empty()) return State::unsafe;
    const string path = folder + "/" + file.path;
    if (lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode) || uint64_t(info.st_size) != file.size) {
      whole = false;
    } else {
      reason = distrust(path, info, true);
    }
  }
  if (!reason.empty()) return State::unsafe;
  return whole ? State::whole : State::incomplete;
}

/// Makes a folder and those above it.
inline void make_folders(const string& path) {
  for (size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    const string part = path.substr(0, at);
    const int made = mkdir(part.c_str(), 0755), reason = errno;
    struct stat info;
    if (made != 0 && stat(part.c_str(), &info) != 0) {
      errno = reason;
      fail_errno("Cannot make the folder " + part, kWritable);
    }
    if (at == string::npos) return;
  }
}

class Writer {
 public:
  explicit Writer(const string& path, mode_t mode) : path_(path) {
    fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd_ < 0) fail_errno("Cannot write " + path, kWritable);
  }

  void write(const char* data, size_t n) {
    while (n > 0) {
      if (caught) end_by(caught);
      const ssize_t done = ::write(fd_, data, n);
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) fail_to_fill();
      data += done, n -= done;
    }
  }

  void close() {
    if (::close(fd_) != 0) fail_to_fill();
  }

 private:
  [[noreturn]] void fail_to_fill() {
    fail_errno("Cannot unpack into " + path_, "set STEC_CACHE to a folder with more room");
  }

  string path_;
  int fd_;
};

/// Unpacks everything into a folder beside `folder`, which takes its name when all of it is on the disk.
inline void fill(const Archive& archive, const string& folder) {
  unfinished = folder + "." + std::to_string(getpid());
  if (mkdir(unfinished.c_str(), 0755) != 0) fail_errno("Cannot make the folder " + unfinished, kWritable);
  // Deno keeps code here that it has translated, in folders that others may write to where the user's umask lets them.
  const string translated = unfinished + "/" + kTranslated;
  if (mkdir(translated.c_str(), 0700) != 0) fail_errno("Cannot make the folder " + translated, kWritable);
  dprintf(2, "Unpacking %.0f MB into %s, once\n", archive.unpacked_size() / 1e6, folder.c_str());
  for (const File& file : archive.files) {
    const string path = unfinished + "/" + file.path;
    make_folders(path.substr(0, path.rfind('/')));
    Writer writer(path, file.mode);
    archive.decompress(file.offset, file.length, [&](const char* data, size_t n) { writer.write(data, n); });
    writer.close();
  }
  const int fd = open(unfinished.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // Without it a power cut could leave a whole-looking folder of empty files.
  if (fd < 0 || syncfs(fd) != 0) fail_errno("Cannot unpack into " + unfinished, "set STEC_CACHE to a folder with more room");
  close(fd);
  remove_all(folder);
  if (rename(unfinished.c_str(), folder.c_str()) != 0) fail_errno("Cannot rename " + unfinished);
  unfinished.clear();
}

/// Removes what processes that were killed have left. Only for who holds the lock: no other is filling then.
inline void remove_leftovers(const string& all, const string& key) {
  DIR* folder = opendir(all.c_str());
  if (!folder) return;
  const string prefix = key + ".";
  while (const dirent* entry = readdir(folder)) {
    const string name = entry->d_name;
    if (name.compare(0, prefix.size(), prefix) == 0 && name != prefix + "lock") remove_all(all + "/" + name);
  }
  closedir(folder);
}

/// Unpacks, unless another process does it first.
inline void fill_once(const Archive& archive, const string& all, const string& folder) {
  const string path = folder + ".lock";
  const int lock = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock < 0) fail_errno("Cannot write " + path, kWritable);
  struct sigaction action = {};
  action.sa_handler = [](int signal) { caught = signal; };
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) dprintf(2, "Waiting for another process that unpacks into %s\n", all.c_str());
    if (flock(lock, LOCK_EX) != 0) {
      if (caught) end_by(caught);
      fail_errno("Cannot lock " + path, kAnother);
    }
  }
  string reason;
  remove_leftovers(all, archive.key);
  if (inspect(archive, folder, reason) == State::incomplete) fill(archive, folder);
  close(lock);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, SIG_DFL);
  if (caught) end_by(caught);
}

/// The place for all unpacked executables in a cache; its path has no links in it.
inline string place_in(const string& cache) { return cache + (cache == "/" ? "" : "/") + "executable"; }

/// Why what is unpacked in `all` must not be used; empty if it may.
inline string distrust_place(const string& all) {
  const string reason = distrust_way(all);
  struct stat info;
  if (!reason.empty() || lstat(all.c_str(), &info) != 0) return reason;
  return distrust(all, info, true);
}

/// The folder with the unpacked program, if it is there, whole and safe; else an empty string.
inline string find_unpacked(const Archive& archive) {
  const string cache = real(cache_folder());
  if (cache.empty()) return "";
  const string all = place_in(cache), folder = all + "/" + archive.key;
  string reason = distrust_place(all);
  if (!reason.empty() || inspect(archive, folder, reason) != State::whole) return "";
  return folder;
}

/// The same folder, unpacked if need be.
inline string unpacked(const Archive& archive) {
  const string named = cache_folder();
  if (named.empty()) fail("Cannot choose a folder to unpack into: set STEC_CACHE, XDG_CACHE_HOME or HOME");
  make_folders(named);
  const string cache = real(named);
  if (cache.empty()) fail_errno("Cannot use " + named, kAnother);
  if (cache.find(',') != string::npos) {
    fail("Cannot use " + cache + ": Deno splits its lists of permitted paths at commas; " + kAnother);
  }
  const string all = place_in(cache), folder = all + "/" + archive.key;
  string reason = distrust_way(cache);
  if (reason.empty()) make_folders(all), reason = distrust_place(all);
  if (!reason.empty()) fail(reason);
  if (inspect(archive, folder, reason) == State::incomplete) fill_once(archive, all, folder);
  if (reason.empty() && inspect(archive, folder, reason) == State::incomplete) {
    fail("Cannot use " + folder + ": it changes while it is unpacked; " + kAnother);
  }
  if (!reason.empty()) fail(reason);
  return folder;
}

}  // namespace stec
