#include "iserv/base/process_context.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "iserv/base/descriptors.h"
#include "iserv/base/file_view.h"
#include "iserv/base/process_identity.h"
#include "protocol/system.h"

namespace splicehost {

namespace {

constexpr int kStreams = 3;
constexpr uint64_t kUnlimited = ~uint64_t{0};

uint64_t limitOf(rlim_t value) { return value == RLIM_INFINITY ? kUnlimited : value; }
rlim_t limitFor(uint64_t value) { return value == kUnlimited ? RLIM_INFINITY : value; }

}  // namespace

Result<kj::AutoCloseFd> describeProcessContext(schema::Attach::Builder attach, std::vector<int>& fds) {
  kj::AutoCloseFd directory(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) return systemError("the working directory");
  fds.push_back(directory.get());
  for (int fd = 0; fd < kStreams; ++fd) fds.push_back(fd);

  uint32_t variables = 0;
  while (environ[variables] != nullptr) ++variables;
  auto environment = attach.initEnvironment(variables);
  for (uint32_t i = 0; i < variables; ++i) {
    environment.set(i, {reinterpret_cast<const capnp::byte*>(environ[i]), std::strlen(environ[i])});
  }
  // There is no way to ask.
  mode_t mask = umask(0);
  umask(mask);
  attach.setUmask(mask);

  auto limits = attach.initLimits(RLIM_NLIMITS);
  for (uint32_t i = 0; i < RLIM_NLIMITS; ++i) {
    rlimit limit;
    if (getrlimit(static_cast<__rlimit_resource>(i), &limit) != 0) return systemError("getrlimit");
    limits[i].setResource(static_cast<int32_t>(i));
    limits[i].setSoft(limitOf(limit.rlim_cur));
    limits[i].setHard(limitOf(limit.rlim_max));
  }
  attach.setNiceness(getpriority(PRIO_PROCESS, 0));
  attach.setProcessGroup(hasTerminal() ? getpgrp() : 0);
  cpu_set_t processors;
  if (sched_getaffinity(0, sizeof processors, &processors) != 0) return systemError("sched_getaffinity");
  attach.setProcessors({reinterpret_cast<const capnp::byte*>(&processors), sizeof processors});

  std::vector<int> further = inheritable();
  fds.insert(fds.end(), further.begin(), further.end());
  auto numbers = attach.initDescriptors(static_cast<uint32_t>(further.size()));
  for (uint32_t i = 0; i < numbers.size(); ++i) numbers.set(i, further[i]);
  return directory;
}

bool canBeAdopted(schema::Attach::Reader attach) {
  for (auto limit : attach.getLimits()) {
    bool memory = limit.getResource() == RLIMIT_AS || limit.getResource() == RLIMIT_DATA;
    if (memory && limit.getSoft() != kUnlimited) return false;
  }
  return true;
}

Status adoptProcessContext(schema::Attach::Reader attach, std::span<const kj::AutoCloseFd> fds) {
  if (fds.size() != 1 + kStreams + attach.getDescriptors().size()) {
    return Error{"the client did not send its descriptors"};
  }
  // ^C is for the process group; what a splice starts is in it. See Note [Terminal sessions].
  if (setpgid(0, attach.getProcessGroup()) != 0) return systemError("the process group");
  if (!attach.hasView() && fchdir(fds[0].get()) != 0) return systemError("the working directory");
  for (int fd = 0; fd < kStreams; ++fd) {
    if (dup2(fds[static_cast<size_t>(fd) + 1].get(), fd) < 0) return systemError("a standard stream");
  }

  std::vector<int> numbers;
  for (int number : attach.getDescriptors()) numbers.push_back(number);
  if (Status taken = takeDescriptors(fds.subspan(1 + kStreams), numbers); !taken) return taken;

  if (attach.hasView()) {
    // Most splices read no files, and are not to fail for it.
    if (Status entered = enterView(fileView(attach.getView())); !entered) {
      std::fprintf(stderr, "splicehost: files are not at the paths that the compiler has them: %s\n",
                   entered.error().message.c_str());
    }
  }

  // The variables live as long as the process.
  auto environment = attach.getEnvironment();
  auto** variables = new char*[environment.size() + 1];
  for (uint32_t i = 0; i < environment.size(); ++i) {
    variables[i] = strndup(environment[i].asChars().begin(), environment[i].size());
  }
  variables[environment.size()] = nullptr;
  environ = variables;
  umask(attach.getUmask());

  for (auto limit : attach.getLimits()) {
    auto resource = static_cast<__rlimit_resource>(limit.getResource());
    rlimit wanted{limitFor(limit.getSoft()), limitFor(limit.getHard())}, present;
    if (getrlimit(resource, &present) == 0 && present.rlim_cur == wanted.rlim_cur &&
        present.rlim_max == wanted.rlim_max) {
      continue;
    }
    if (setrlimit(resource, &wanted) != 0) return systemError("a resource limit");
  }
  if (getpriority(PRIO_PROCESS, 0) != attach.getNiceness() && setpriority(PRIO_PROCESS, 0, attach.getNiceness()) != 0) {
    return systemError("the niceness");
  }
  auto processors = attach.getProcessors();
  if (sched_setaffinity(0, processors.size(), reinterpret_cast<const cpu_set_t*>(processors.begin())) != 0) {
    return systemError("the processors to run on");
  }
  return Done{};
}

}  // namespace splicehost
