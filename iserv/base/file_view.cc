#include "iserv/base/file_view.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <vector>

#include "protocol/system.h"
#include "protocol/text.h"

namespace splicehost {

namespace {

namespace fs = std::filesystem;

bool isDirectory(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

Status bind(const std::string& from, const std::string& to, unsigned long further = 0) {
  if (mount(from.c_str(), to.c_str(), nullptr, MS_BIND | further, nullptr) != 0) {
    return systemError("mounting " + from + " on " + to);
  }
  return Done{};
}

// Puts the content at the root's path, below `prefix`.
Status place(const FileView& view, const std::string& prefix) {
  std::string target = prefix + view.root;
  if (Status bound = bind(view.content, target); !bound) return bound;
  // A bind mount takes its flags in a second step, and those that the file system below is locked to must stay.
  constexpr unsigned long kFlags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV;
  for (unsigned long locked : {0ul, (unsigned long)MS_NOEXEC, (unsigned long)MS_NOATIME, (unsigned long)MS_RELATIME,
                               (unsigned long)(MS_RELATIME | MS_NOEXEC)}) {
    if (mount(nullptr, target.c_str(), nullptr, kFlags | locked, nullptr) == 0) return Done{};
  }
  return systemError("making " + target + " read-only");
}

// Makes the path below `made`, and on the way to it directories of our own that show what lies beside it in `old`.
Status makePath(std::string made, std::string old, const std::string& path) {
  for (const fs::path& part : fs::path(path).relative_path()) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(old, error)) {
      std::string target = made + "/" + entry.path().filename().string();
      struct stat status;
      if (entry.path().filename() == part || lstat(entry.path().c_str(), &status) != 0) continue;
      if (S_ISLNK(status.st_mode)) {
        fs::path leads = fs::read_symlink(entry.path(), error);
        if (!error && symlink(leads.c_str(), target.c_str()) != 0) return systemError(target);
        continue;
      }
      if (S_ISDIR(status.st_mode)) {
        if (mkdir(target.c_str(), 0755) != 0) return systemError(target);
      } else {
        kj::AutoCloseFd file(open(target.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
        if (file.get() < 0) return systemError(target);
      }
      // What cannot be shown need not be: nobody who runs splices can do much with it.
      (void)bind(entry.path(), target, MS_REC).ok();
    }
    old += "/" + part.string();
    made += "/" + part.string();
    if (mkdir(made.c_str(), 0755) != 0) return systemError(made);
  }
  return Done{};
}

// Builds a root directory in one that is empty, and enters it.
Status enterRootIn(const std::string& base, const FileView& view) {
  std::string old = base + "/old", made = base + "/new";
  if (mkdir(old.c_str(), 0755) != 0 || mkdir(made.c_str(), 0755) != 0) return systemError(base);
  if (Status bound = bind("/", old, MS_REC); !bound) return bound;
  // In there the directory shows again what it had.
  if (umount2((old + base).c_str(), MNT_DETACH) != 0) return systemError(old + base);
  if (Status path = makePath(made, old, view.root); !path) return path;
  FileView reached = view;
  reached.content = old + view.content;
  if (Status placed = place(reached, made); !placed) return placed;
  if (chroot(made.c_str()) != 0) return systemError("the new root directory");
  return Done{};
}

// A root directory in memory, which has what this machine's has, and the path.
Status enterOwnRoot(const FileView& view) {
  // Any directory serves to build it in: here nobody else sees it.
  std::string base;
  for (const char* directory : {"/tmp", "/mnt", "/var", "/usr", "/dev"}) {
    if (base.empty() && isDirectory(directory)) base = directory;
  }
  if (base.empty()) return Error{"there is neither /tmp nor any other directory to build a root directory in"};
  if (mount("splicehost", base.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=4m") != 0) {
    return systemError("a temporary root directory");
  }
  Status entered = enterRootIn(base, view);
  // What the directory has itself may be the content.
  if (!entered) umount2(base.c_str(), MNT_DETACH);
  return entered;
}

Status writeFile(const char* path, const std::string& text) {
  kj::AutoCloseFd file(open(path, O_WRONLY | O_CLOEXEC));
  if (file.get() < 0 || write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return systemError(path);
  }
  return Done{};
}

// Sees to it that what is mounted here is not seen elsewhere.
Status makePrivate() {
  constexpr unsigned long kPrivate = MS_REC | MS_PRIVATE;
  if (mount(nullptr, "/", nullptr, kPrivate, nullptr) == 0) return Done{};
  if (errno != EINVAL) return systemError("private mounts");
  // In a chroot() the root directory is not where anything is mounted. Whoever enters a namespace is at its own root
  // directory, which is, and can go back.
  kj::AutoCloseFd root(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  // Debian 12's header for pidfd_open() is for C only.
  kj::AutoCloseFd self(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (root.get() < 0 || self.get() < 0 || setns(self.get(), CLONE_NEWNS) != 0) {
    return systemError("leaving a changed root directory");
  }
  Status made = Done{};
  if (mount(nullptr, "/", nullptr, kPrivate, nullptr) != 0) made = systemError("private mounts");
  if (fchdir(root.get()) != 0 || chroot(".") != 0) return systemError("the root directory");
  return made;
}

Status tryView(const FileView& view) {
  // Only what a process names by its own directories is found again in its new namespace.
  if (chdir("/") != 0) return systemError("the root directory");
  if (unshare(CLONE_NEWNS) != 0) return systemError("a mount namespace");
  if (Status made = makePrivate(); !made) return made;
  if (isDirectory(view.root)) return place(view, "");
  return enterOwnRoot(view);
}

}  // namespace

void describe(const FileView& view, schema::FileView::Builder builder) {
  builder.setRoot(toData(view.root));
  builder.setContent(toData(view.content));
  builder.setWorkingDirectory(toData(view.workingDirectory));
}

FileView fileView(schema::FileView::Reader reader) {
  return {toString(reader.getRoot()), toString(reader.getContent()), toString(reader.getWorkingDirectory())};
}

Status enterView(const FileView& view) {
  Status entered = tryView(view);
  if (entered) {
    if (chdir(view.workingDirectory.c_str()) != 0 && chdir("/") != 0) return systemError(view.workingDirectory);
    return entered;
  }
  if ((view.workingDirectory + "/").starts_with(view.root + "/")) {
    if (chdir((view.content + view.workingDirectory.substr(view.root.size())).c_str()) == 0) return entered;
  }
  if (chdir(view.content.c_str()) != 0) return systemError(view.content);
  return entered;
}

Status gainMountRights() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  auto raise = [&]() -> Status {
    for (int capability : {CAP_SYS_ADMIN, CAP_SYS_CHROOT}) {
      if (syscall(SYS_capget, &header, sets) != 0) return systemError("capget");
      sets[0].inheritable |= 1u << capability;
      if (syscall(SYS_capset, &header, sets) != 0) return systemError("capset");
      if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0) return systemError("PR_CAP_AMBIENT");
    }
    return Done{};
  };
  if (syscall(SYS_capget, &header, sets) == 0 && (sets[0].effective & (1u << CAP_SYS_ADMIN)) != 0) {
    if (geteuid() == 0) return Done{};
    return raise();
  }
  std::string user = std::to_string(geteuid()), group = std::to_string(getegid());
  if (unshare(CLONE_NEWUSER) != 0) return systemError("a user namespace");
  if (Status written = writeFile("/proc/self/setgroups", "deny"); !written) return written;
  if (Status written = writeFile("/proc/self/uid_map", user + " " + user + " 1"); !written) return written;
  if (Status written = writeFile("/proc/self/gid_map", group + " " + group + " 1"); !written) return written;
  return raise();
}

}  // namespace splicehost
