#include "linker/path_guard.h"
#include "protocol/system.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <string_view>
#include <system_error>
#include <utility>

namespace splicehost::linker {
namespace {

// As the kernel follows no more (MAXSYMLINKS).
constexpr int kMostLinks = 40;

// The names on a path, before those that are still to be gone through.
void putFirst(std::string_view path, std::deque<std::string>& names) {
  std::deque<std::string> first;
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    if (end > 0) first.emplace_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  names.insert(names.begin(), first.begin(), first.end());
}

}  // namespace

Result<PathGuard> PathGuard::begin(const std::string& path) {
  PathGuard guard(path);
  guard.mounts_ = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
  if (guard.mounts_ < 0) return systemError("/proc/self/mountinfo", errno);
  guard.events_ = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (guard.events_ < 0) return systemError("watching " + path, errno);
  if (Status walked = guard.walk(); !walked) return walked.error();
  return guard;
}

PathGuard::PathGuard(PathGuard&& other) noexcept
    : path_(std::move(other.path_)),
      events_(std::exchange(other.events_, -1)),
      mounts_(std::exchange(other.mounts_, -1)),
      names_(std::move(other.names_)) {}

PathGuard::~PathGuard() {
  for (const int fd : {events_, mounts_}) {
    if (fd >= 0) close(fd);
  }
}

// Each directory is watched before it is looked into, so no change gets lost.
Status PathGuard::walk() {
  std::deque<std::string> names;
  putFirst(path_, names);
  std::string directory;
  int links = 0;
  while (!names.empty()) {
    const std::string name = std::exchange(names.front(), {});
    names.pop_front();
    if (name == ".") continue;
    if (name == "..") {
      directory.resize(directory.empty() ? 0 : directory.rfind('/'));
      continue;
    }
    if (Status watched = watch(directory + "/", name); !watched) return watched;
    const std::string path = directory + "/" + name;
    std::array<char, 4096> target;
    const ssize_t size = readlink(path.c_str(), target.data(), target.size());
    if (size < 0 && errno != EINVAL) return systemError(path, errno);
    if (size < 0) {
      directory = path;
      continue;
    }
    if (++links > kMostLinks) return systemError(path_, ELOOP);
    if (target[0] == '/') directory.clear();
    putFirst({target.data(), static_cast<size_t>(size)}, names);
  }
  return Done{};
}

Status PathGuard::watch(const std::string& directory, const std::string& name) {
  const int number = inotify_add_watch(
      events_, directory.c_str(),
      IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
  // A directory that this user may pass through and not read is another user's to change.
  if (number < 0 && errno == EACCES) return Done{};
  if (number < 0) return systemError("watching " + directory, errno);
  names_[number].insert(name);
  return Done{};
}

Status PathGuard::unchanged() {
  const Error changed{path_ + " led to another file meanwhile"};
  pollfd mounts{mounts_, POLLPRI, 0};
  if (poll(&mounts, 1, 0) < 0 || (mounts.revents & (POLLPRI | POLLERR)) != 0) return changed;
  alignas(inotify_event) std::array<char, 16384> buffer;
  for (;;) {
    const ssize_t size = read(events_, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      at += static_cast<ssize_t>(sizeof *event + event->len);
      // Of a directory itself, or that events were lost.
      if ((event->mask & (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)) == 0) return changed;
      const auto names = names_.find(event->wd);
      if (names == names_.end() || names->second.contains(event->name)) return changed;
    }
  }
  return Done{};
}

}  // namespace splicehost::linker
