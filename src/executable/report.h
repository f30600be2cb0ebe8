// How the start-up ends when it cannot go on: with one sentence, and nothing half-made left behind.

#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>

namespace stec {

using std::string;

/// The folder that is being filled, if any.
inline string unfinished;

/// Removes a file, or a folder with all that is in it. Links are removed, not followed.
inline void remove_all(const string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return;
  if (!S_ISDIR(info.st_mode)) {
    unlink(path.c_str());
    return;
  }
  if (DIR* folder = opendir(path.c_str())) {
    while (const dirent* entry = readdir(folder)) {
      const string name = entry->d_name;
      if (name != "." && name != "..") remove_all(path + "/" + name);
    }
    closedir(folder);
  }
  rmdir(path.c_str());
}

inline void remove_unfinished() {
  if (!unfinished.empty()) remove_all(unfinished);
  unfinished.clear();
}

/// Says a sentence and ends with status 1, as the program does.
[[noreturn]] inline void fail(const string& sentence) {
  remove_unfinished();
  dprintf(2, "%s\n", sentence.c_str());
  _exit(1);
}

/// The same, with the system's reason and what could be done about it.
[[noreturn]] inline void fail_errno(const string& what, const string& advice = "") {
  const string reason = strerror(errno);
  fail(what + ": " + reason + (advice.empty() ? "" : "; " + advice));
}

/// Ends by a signal, as if it had not been caught.
[[noreturn]] inline void end_by(int signal) {
  remove_unfinished();
  std::signal(signal, SIG_DFL);
  raise(signal);
  _exit(128 + signal);
}

}  // namespace stec
