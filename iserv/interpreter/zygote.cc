#include "iserv/interpreter/rts_lock.h"
//
#include "iserv/interpreter/zygote.h"

#include <link.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "iserv/base/process_context.h"
#include "iserv/interpreter/loader_search.h"

namespace splicehost {

namespace {

// Has the kernel provide what the first evaluations will need: the pages of code, and memory to allocate in.
void touchMemory() {
  {
    RtsLock lock;
    for (bdescr* block = registersOf(lock.capability()).rCurrentNursery; block != nullptr; block = block->link) {
      auto* start = reinterpret_cast<volatile char*>(block->start);
      *start = *start;
    }
  }
  auto populate = [](dl_phdr_info* object, size_t, void*) {
    for (int i = 0; i < object->dlpi_phnum; ++i) {
      const auto& segment = object->dlpi_phdr[i];
      if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
      auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
      uintptr_t begin = (object->dlpi_addr + segment.p_vaddr) / page * page;
      uintptr_t end = object->dlpi_addr + segment.p_vaddr + segment.p_memsz;
      // Kernels before 5.14 do not know this, and do without.
      madvise(reinterpret_cast<void*>(begin), end - begin, MADV_POPULATE_READ);
    }
    return 0;
  };
  dl_iterate_phdr(populate, nullptr);
}

}  // namespace

Zygote::Zygote(const InterpreterBuild& build, kj::AutoCloseFd socket, End end)
    : session_(build), broker_(kj::mv(socket)), end_(end) {
  stopTimer();
}

Session& Zygote::takeOrders() {
  sayReady();
  for (;;) {
    waitForOrder();
    auto packet = broker_.receive<schema::ToZygote>();
    // Without the broker nobody needs this process.
    if (!packet || !*packet) _exit(0);
    auto order = (*packet)->root<schema::ToZygote>();
    capnp::MallocMessageBuilder builder;
    auto answer = builder.initRoot<schema::FromZygote>();
    switch (order.which()) {
      case schema::ToZygote::LOAD: {
        auto mapped = preloader_.load(order.getLoad(), answer.initLoaded());
        int fds[] = {mapped ? mapped->fd() : -1};
        send(builder, std::span(fds, mapped ? 1 : 0));
        continue;
      }
      case schema::ToZygote::LOOK_UP:
        preloader_.lookUp(order.getLookUp(), answer);
        break;
      case schema::ToZygote::FORK:
        if ((*packet)->fds.size() != 1) _exit(1);
        fork(order.getFork(), kj::mv((*packet)->fds[0]));
        continue;
      case schema::ToZygote::START_SESSION: {
        if ((*packet)->fds.empty()) _exit(1);
        Status status = startSession(order.getStartSession(), (*packet)->fds);
        // The client says why not.
        if (Status greeted = session_.greet(status); !greeted) _exit(1);
        return session_;
      }
    }
    send(builder);
  }
}

void Zygote::sayReady() {
  capnp::MallocMessageBuilder message;
  auto ready = message.initRoot<schema::FromZygote>();
  if (isFork_) {
    ready.setReady(static_cast<uint32_t>(getpid()));
  } else {
    auto started = ready.initStarted();
    started.setProcessId(static_cast<uint32_t>(getpid()));
    LoaderSearch::describeStart(started.initConditions());
  }
  send(message);
}

// Waits for something from the broker, and meanwhile for children to end.
void Zygote::waitForOrder() {
  for (;;) {
    std::vector<pollfd> fds = {{broker_.fd(), POLLIN, 0}};
    children_.addTo(fds);
    if (poll(fds.data(), fds.size(), -1) < 0) continue;  // a signal
    reportEnded();
    if (fds[0].revents != 0) return;
  }
}

void Zygote::reportEnded() {
  for (auto [process, status] : children_.takeEnded()) {
    capnp::MallocMessageBuilder message;
    auto report = message.initRoot<schema::FromZygote>().initChildEnded();
    report.setProcessId(static_cast<uint32_t>(process));
    report.initEnded().setStatus(WIFEXITED(status) ? WEXITSTATUS(status) : 0);
    report.getEnded().setSignal(WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    send(message);
  }
}

void Zygote::fork(schema::ForkPurpose purpose, kj::AutoCloseFd socket) {
  childPurpose_ = purpose;
  childSocket_ = kj::mv(socket);
  std::fflush(nullptr);
  pid_t processId = forkEvaluator(*this);
  childSocket_ = nullptr;
  if (processId > 0) children_.add(processId);
  capnp::MallocMessageBuilder message;
  message.initRoot<schema::FromZygote>().setForked(processId > 0 ? static_cast<uint32_t>(processId) : 0);
  send(message);
}

Evaluations& Zygote::prepare() {
  children_.clear();
  isFork_ = true;
  broker_ = PacketSocket(kj::mv(childSocket_));
  if (warmsUp()) {
    touchMemory();
    session_.prepareToConnect();
  }
  stopTimer();
  // The RTS's handler for a main program would keep an interrupt for the first evaluation.
  signal(SIGINT, SIG_IGN);
  return takeOrders();
}

void Zygote::end() {
  end_(session_);
  __builtin_unreachable();
}

Status Zygote::startSession(schema::StartSession::Reader order, std::vector<kj::AutoCloseFd>& fds) {
  kj::AutoCloseFd socket = kj::mv(fds[0]);
  fds.erase(fds.begin());
  session_.connect(kj::mv(socket));
  startTimer();
  Status status = adoptProcessContext(order.getAttach(), fds);
  fds.clear();
  if (status) status = preloader_.replay(order.getAttach().getFiles(), order.getReplay());
  children_.clear();
  broker_ = PacketSocket(nullptr);
  return status;
}

void Zygote::send(capnp::MessageBuilder& message, std::span<const int> fds) {
  if (Status sent = broker_.send(message, fds); !sent) _exit(0);
}

}  // namespace splicehost
