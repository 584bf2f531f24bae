#include "iserv/interpreter/rts_lock.h"
//
#include "iserv/interpreter/zygote.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <optional>
#include <utility>

#include "iserv/base/file_signature.h"
#include "iserv/base/process_context.h"
#include "iserv/base/process_state.h"
#include "iserv/interpreter/loader_search.h"
#include "linker/content_identity.h"
#include "linker/mapped_file.h"
#include "linker/path_guard.h"
#include "protocol/system.h"
#include "protocol/text.h"

namespace splicehost {

namespace {

// A constructor that forks returns twice. The second process has no orders to take.
void endIfForked(pid_t self) {
  if (getpid() != self) _exit(0);
}

bool isThinArchive(const std::string& path) {
  auto file = linker::MappedFile::open(path);
  constexpr std::string_view kThin = "!<thin>\n";
  return file && file->bytes().size() >= kThin.size() &&
         std::memcmp(file->bytes().data(), kThin.data(), kThin.size()) == 0;
}

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

// The content of a file, and whether it is still the same after something was done with it.
class WatchedFile {
 public:
  explicit WatchedFile(std::string path) : path_(std::move(path)) {}

  Status read() {
    auto guard = linker::PathGuard::begin(path_);
    if (!guard) return guard.error();
    guard_.emplace(std::move(*guard));
    auto file = linker::OpenFile::open(path_);
    if (!file) return file.error();
    file_.emplace(std::move(*file));
    auto content = file_->content();
    if (!content) return content.error();
    content_ = *content;
    return Done{};
  }

  Status readAgain() {
    if (Status led = guard_->unchanged(); !led) return led;
    auto signature = linker::signatureOf(path_);
    if (!signature) return signature.error();
    bool same = *signature == content_.signature;
    if (same && !content_.settled) {
      auto again = file_->content();
      if (!again) return again.error();
      same = again->signature == content_.signature && again->digest == content_.digest;
    }
    if (!same) return Error{path_ + " changed while it was loaded"};
    return Done{};
  }

  void describe(schema::LoadedFile::Builder file) const {
    file.setSha256({content_.digest.bytes.data(), content_.digest.bytes.size()});
    writeSignature(content_.signature, file.initSignature());
    file.setSettled(content_.settled);
  }

  // The file, which was read.
  linker::OpenFile release() { return std::move(*file_); }

 private:
  std::string path_;
  std::optional<linker::PathGuard> guard_;
  std::optional<linker::OpenFile> file_;
  linker::FileContent content_;
};

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
        auto mapped = load(order.getLoad(), answer.initLoaded());
        int fds[] = {mapped ? mapped->fd() : -1};
        send(builder, std::span(fds, mapped ? 1 : 0));
        continue;
      }
      case schema::ToZygote::LOOK_UP:
        lookUp(order.getLookUp(), answer);
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
    for (const ForkedChild& child : children_) fds.push_back({child.pidFd.get(), POLLIN, 0});
    if (poll(fds.data(), fds.size(), -1) < 0) continue;  // a signal
    reportEnded();
    if (fds[0].revents != 0) return;
  }
}

void Zygote::reportEnded() {
  std::erase_if(children_, [this](const ForkedChild& child) {
    int status = 0;
    if (waitpid(child.processId, &status, WNOHANG) != child.processId) return false;
    capnp::MallocMessageBuilder message;
    auto report = message.initRoot<schema::FromZygote>().initChildEnded();
    report.setProcessId(static_cast<uint32_t>(child.processId));
    report.initEnded().setStatus(WIFEXITED(status) ? WEXITSTATUS(status) : 0);
    report.getEnded().setSignal(WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    send(message);
    return true;
  });
}

std::optional<linker::OpenFile> Zygote::load(schema::LoadOperation::Reader operation, schema::Loaded::Builder loaded) {
  std::string file = toString(operation.getFile());
  WatchedFile watched(file);
  bool hasFile = file.find('/') != std::string::npos;
  uint32_t relative = operation.getRelative();
  LoaderSearch search(file, file.substr(0, relative == 0 ? 0 : relative - 1));
  uint64_t start = monotonicNanoseconds();

  Status status = hasFile ? watched.read() : Status(Done{});
  if (status && operation.getKind() == schema::LoadKind::LOAD_ARCHIVE && isThinArchive(file)) {
    status = Error{file + ": the content of a thin archive lies in other files"};
  }
  std::string name = file.substr(relative);
  pid_t self = getpid();
  EffectWatch effects;
  if (status) status = performIn(file.substr(0, relative), operation.getKind(), name);
  endIfForked(self);
  std::string effect = effects.end();
  if (status && hasFile) status = watched.readAgain();
  if (status) files_.push_back(name);
  if (!status) {
    loaded.setFailed(status.error().message);
    return std::nullopt;
  }
  auto done = loaded.initDone();
  done.setNanoseconds(monotonicNanoseconds() - start);
  done.setEffect(effect);
  if (hasFile) watched.describe(done);

  // Its path can be seen, and what lies beside it can be found.
  bool bound = hasFile && operation.getKind() == schema::LoadKind::LOAD_DLL && !isHaskellLibrary(file);
  if (bound) search.countPath();
  done.setBound(bound || (search.foundMore() && search.searchesNearby()));
  if (Status described = search.describe(done.initConditions()); !described) {
    loaded.setFailed(described.error().message);
  }
  // The RTS reads archives, and maps the rest.
  bool isMapped = hasFile && operation.getKind() != schema::LoadKind::LOAD_ARCHIVE;
  return isMapped ? std::optional(watched.release()) : std::nullopt;
}

// The loader names a shared object as it was asked for it: a relative path is to be one.
Status Zygote::performIn(const std::string& directory, schema::LoadKind kind, const std::string& file) {
  if (directory.empty()) return perform(kind, file);
  kj::AutoCloseFd before(open(".", O_PATH | O_CLOEXEC));
  if (chdir(directory.c_str()) != 0) return Error{directory + " is gone"};
  Status status = perform(kind, file);
  if (fchdir(before.get()) != 0) _exit(1);
  return status;
}

Status Zygote::perform(schema::LoadKind kind, const std::string& file) {
  linker::RtsLinker& linker = session_.linker();
  switch (kind) {
    case schema::LoadKind::INIT_LINKER:
      linker.initialise();
      return Done{};
    case schema::LoadKind::LOAD_DLL: {
      auto message = linker.loadSharedObject(file);
      if (message) return Error{*message};
      return Done{};
    }
    case schema::LoadKind::LOAD_ARCHIVE:
      return linker.loadArchive(file);
    case schema::LoadKind::LOAD_OBJ:
      return linker.loadObject(file);
    case schema::LoadKind::RESOLVE_OBJS:
      if (!linker.resolve()) return Error{"a symbol is missing"};
      return Done{};
  }
  return Error{"an unknown load operation"};
}

// Linking runs the constructors of archive members. The process is compared after a few symbols at a time.
void Zygote::lookUp(capnp::List<capnp::Text>::Reader symbols, schema::FromZygote::Builder answer) {
  constexpr uint32_t kAtATime = 32;
  // A symbol may need what this process has not loaded. A session says so, if it comes to that.
  RtsMsgFunction* tell = std::exchange(errorMsgFn, [](const char*, va_list) {});
  pid_t self = getpid();
  uint32_t found = 0;
  for (uint32_t first = 0; first < symbols.size(); first += kAtATime) {
    uint32_t end = std::min(first + kAtATime, symbols.size());
    EffectWatch effects;
    for (uint32_t i = first; i < end; ++i) found += session_.linker().link(symbols[i].cStr()) ? 1 : 0;
    endIfForked(self);
    std::string effect = effects.end();
    if (effect.empty()) continue;
    auto report = answer.initEffect();
    report.setWhat(effect);
    report.setFirst(first);
    report.setCount(end - first);
    break;
  }
  errorMsgFn = tell;
  answer.setLookedUp(found);
}

void Zygote::fork(schema::ForkPurpose purpose, kj::AutoCloseFd socket) {
  childPurpose_ = purpose;
  childSocket_ = kj::mv(socket);
  std::fflush(nullptr);
  pid_t processId = forkEvaluator(*this);
  childSocket_ = nullptr;
  if (processId > 0) {
    // Debian 12's header for pidfd_open() is for C only.
    auto pidFd = static_cast<int>(syscall(SYS_pidfd_open, processId, 0));
    children_.push_back({processId, kj::AutoCloseFd(pidFd)});
  }
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

  // What was loaded here has the client's names from now on, and the rest is loaded from its files.
  auto names = order.getAttach().getFiles();
  auto replay = order.getReplay();
  if (status && names.size() != files_.size() + replay.size()) {
    status = Error{"the broker's operations are not the client's"};
  }
  for (uint32_t i = 0; status && i < names.size(); ++i) {
    if (i < files_.size()) {
      session_.linker().rename(files_[i], toString(names[i]));
    } else {
      status = perform(replay[i - files_.size()].getKind(), toString(names[i]));
    }
  }
  children_.clear();
  broker_ = PacketSocket(nullptr);
  return status;
}

void Zygote::send(capnp::MessageBuilder& message, std::span<const int> fds) {
  if (Status sent = broker_.send(message, fds); !sent) _exit(0);
}

}  // namespace splicehost
