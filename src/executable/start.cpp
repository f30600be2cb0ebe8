// The start-up of dist/stec: unpacks what is appended to its own file into the user's cache, once, and becomes Deno
// that runs the program from there. Where nothing is unpacked yet, the command line's parser runs first, in memory, so
// that the help, the version and wrong flags are answered without touching the disk, and by the same code as ever.

#include <sys/prctl.h>
#include <sys/wait.h>

#include "cache.h"

namespace {

using namespace stec;

/// The status with which the parser says that there is something to run (`parse.ts`).
constexpr int kUnderstood = 75;

/// A file in memory with the content of a frame; -1 where the system has none.
int in_memory(const Archive& archive, uint64_t offset, uint64_t length) {
  constexpr unsigned kExecutable = 0x10;  // MFD_EXEC, which kernels before 6.3 do not know
  int fd = memfd_create("stec", kExecutable);
  if (fd < 0) fd = memfd_create("stec", 0);
  if (fd < 0) return fd;
  bool written = true;
  archive.decompress(offset, length, [&](const char* data, size_t n) {
    for (ssize_t done = 0; written && n > 0; data += done, n -= done) {
      done = write(fd, data, n);
      written = done > 0;
    }
  });
  lseek(fd, 0, SEEK_SET);
  return written ? fd : -1;
}

const File* find(const Archive& archive, const string& path) {
  for (const File& file : archive.files) {
    if (file.path == path) return &file;
  }
  return nullptr;
}

std::vector<char*> pointers(const std::vector<string>& words) {
  std::vector<char*> result;
  for (const string& word : words) result.push_back(const_cast<char*>(word.c_str()));
  result.push_back(nullptr);
  return result;
}

/// Lets the program's own parser look at the command line. Ends with its answer unless there is something to run.
void check_command_line(const Archive& archive, int count, char** arguments) {
  const File* deno = find(archive, "deno");
  const int program = deno ? in_memory(archive, deno->offset, deno->length) : -1;
  const int script = in_memory(archive, archive.parser_offset, archive.parser_length);
  // Where programs may not run from memory, the unpacked one answers.
  if (program < 0 || script < 0) return;
  const pid_t child = fork();
  if (child < 0) fail_errno("Cannot start a process");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(script, 0);
    // Nothing is looked up in the current folder or in a cache, where others may have left something.
    setenv("DENO_DIR", "/proc/none", 1);
    setenv("DENO_NO_PACKAGE_JSON", "1", 1);
    std::vector<string> words{"deno",        "run",      "--no-prompt", "--no-config", "--no-lock",          "--no-remote",
                              "--no-npm",    "--ext=js", "--allow-env=STEC_*", "-"};
    words.insert(words.end(), arguments + 1, arguments + count);
    fexecve(program, pointers(words).data(), environ);
    _exit(kUnderstood);
  }
  close(program);
  close(script);
  int status;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) fail_errno("Cannot wait for a process");
  }
  if (WIFSIGNALED(status)) end_by(WTERMSIG(status));
  if (WEXITSTATUS(status) != kUnderstood) _exit(WEXITSTATUS(status));
}

string replaced(string text, const string& what, const string& by) {
  for (size_t at; (at = text.find(what)) != string::npos;) text.replace(at, what.size(), by);
  return text;
}

/// Deno's arguments for this command line, with the permissions that the command's task has.
std::vector<string> deno_arguments(const Archive& archive, const string& folder, int count, char** arguments) {
  const Fields* found = nullptr;
  for (const Fields& command : archive.commands) {
    if (command[0].empty() && !found) found = &command;
    if (count > 1 && command[0] == arguments[1]) found = &command;
  }
  std::vector<string> words{folder + "/deno", "run"};
  if (found) {
    for (size_t i = 1; i < found->size(); i++) words.push_back(replaced((*found)[i], "@FOLDER@", folder));
  }
  words.push_back(folder + "/cli.ts");
  words.insert(words.end(), arguments + 1, arguments + count);
  return words;
}

/// An executable without libtorch uses the one in the folder LIBTORCH. The program says where that is none.
void name_libtorch() {
  const string named = variable("LIBTORCH"), folder = real(named);
  setenv("STEC_LIBTORCH", (folder.empty() ? named : folder).c_str(), 1);
}

/// Deno starts no process while a variable of the loader is set; nothing here needs one.
void forget_loader_variables() {
  std::vector<string> names;
  for (char** entry = environ; *entry; entry++) {
    if (strncmp(*entry, "LD_", 3) == 0) names.emplace_back(*entry, strcspn(*entry, "="));
  }
  for (const string& name : names) unsetenv(name.c_str());
}

}  // namespace

int main(int count, char** arguments) {
  const Archive archive;
  setenv("STEC_PROGRAM", "stec", 1);
  setenv("DENO_NO_UPDATE_CHECK", "1", 1);
  forget_loader_variables();
  string folder = find_unpacked(archive);
  if (folder.empty()) {
    check_command_line(archive, count, arguments);
    folder = unpacked(archive);
  }
  if (archive.external) name_libtorch();
  setenv("STEC_NATIVE", (folder + "/build/native.json").c_str(), 1);
  setenv("DENO_DIR", (folder + "/" + kTranslated).c_str(), 1);
  const std::vector<string> words = deno_arguments(archive, folder, count, arguments);
  execv(words[0].c_str(), pointers(words).data());
  if (errno == EACCES) fail("Cannot start " + words[0] + ": its file system permits no programs; " + kAnother);
  fail_errno("Cannot start " + words[0] + " (it needs glibc's loader, /lib64/ld-linux-x86-64.so.2)");
}
