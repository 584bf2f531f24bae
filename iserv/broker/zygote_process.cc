#include "iserv/broker/zygote_process.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "iserv/base/process.h"
#include "protocol/contain.h"
#include "protocol/system.h"

namespace splicehost::broker {

namespace {

constexpr int kZygoteFd = 3;

struct Ends {
  kj::AutoCloseFd ours, theirs;
};

Result<Ends> connectedSockets() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return systemError("socketpair");
  }
  return Ends{kj::AutoCloseFd(ends[0]), kj::AutoCloseFd(ends[1])};
}

// Its end is seen by whoever collects those of all processes. (Note [Who buries the dead].)
Result<pid_t> spawn(const Interpreter& interpreter, int socket) {
  kj::AutoCloseFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (null.get() < 0) return systemError("/dev/null");
  return startProgram({.program = interpreter.program,
                       .arguments = {interpreter.name, "--zygote", std::to_string(kZygoteFd)},
                       .environment = interpreter.environment,
                       .descriptors = {{null.get(), STDIN_FILENO}, {null.get(), STDOUT_FILENO}, {socket, kZygoteFd}}});
}

DoneOperation readDone(const Operation& operation, schema::LoadedFile::Reader file) {
  DoneOperation done{operation, std::nullopt, readSignature(file.getSignature()), file.getSettled(),
                     file.getNanoseconds()};
  auto digest = file.getSha256();
  if (ContentDigest content; digest.size() == content.bytes.size()) {
    std::memcpy(content.bytes.data(), digest.begin(), digest.size());
    done.digest = content;
  }
  done.conditions = readConditions(file.getConditions());
  done.bound = file.getBound();
  done.effect = toString(file.getEffect());
  return done;
}

}  // namespace

Result<std::unique_ptr<ZygoteProcess>> ZygoteProcess::start(uv_loop_t& loop, Processes& processes,
                                                            const Interpreter& interpreter) {
  Result<Ends> ends = connectedSockets();
  if (!ends) return ends.error();
  Result<pid_t> process = spawn(interpreter, ends->theirs.get());
  if (!process) return process.error();
  processes.started(*process, getpid());
  std::unique_ptr<ZygoteProcess> zygote(new ZygoteProcess(loop, processes, kj::mv(ends->ours)));
  zygote->id_ = *process;
  return zygote;
}

ZygoteProcess::ZygoteProcess(uv_loop_t& loop, Processes& processes, kj::AutoCloseFd socket)
    : loop_(loop), processes_(processes), socket_(kj::mv(socket)), watch_(loop, socket_.fd(), [this] { receive(); }) {}

ZygoteProcess::~ZygoteProcess() {
  if (!isSession_) processes_.expectEnd(id_);
}

Result<std::unique_ptr<ZygoteProcess>> ZygoteProcess::fork(schema::ForkPurpose purpose) {
  Result<Ends> ends = connectedSockets();
  if (!ends) return ends.error();
  capnp::MallocMessageBuilder message;
  message.initRoot<schema::ToZygote>().setFork(purpose);
  auto forked = [this](schema::FromZygote::Reader answer, auto&) {
    // If it could not fork, the new socket is closed, which the fork's object will see.
    auto child = static_cast<pid_t>(answer.getForked());
    if (child > 0) processes_.started(child, id_);
  };
  int theirs[] = {ends->theirs.get()};
  give(message, {schema::FromZygote::FORKED, forked}, theirs);
  return std::unique_ptr<ZygoteProcess>(new ZygoteProcess(loop_, processes_, kj::mv(ends->ours)));
}

void ZygoteProcess::load(const Operation& operation, std::function<void(Result<DoneOperation>)> done) {
  capnp::MallocMessageBuilder message;
  writeOperation(operation, message.initRoot<schema::ToZygote>().initLoad());
  auto loaded = [operation, done = std::move(done)](schema::FromZygote::Reader answer, auto& fds) {
    auto result = answer.getLoaded();
    if (result.isFailed()) return done(Error{result.getFailed().cStr()});
    DoneOperation operationDone = readDone(operation, result.getDone());
    if (!fds.empty()) {
      operationDone.mapped = std::make_shared<const linker::OpenFile>(fds.front().release(), operation.file);
    }
    done(std::move(operationDone));
  };
  give(message, {schema::FromZygote::LOADED, std::move(loaded)});
}

void ZygoteProcess::lookUp(std::span<const std::string> symbols, std::function<void(LookedUp)> done) {
  capnp::MallocMessageBuilder message;
  auto list = message.initRoot<schema::ToZygote>().initLookUp(static_cast<uint32_t>(symbols.size()));
  for (uint32_t i = 0; i < list.size(); ++i) list.set(i, symbols[i]);
  auto lookedUp = [done = std::move(done)](schema::FromZygote::Reader answer, auto&) {
    auto effect = answer.getEffect();
    done({answer.getLookedUp(), toString(effect.getWhat()), effect.getFirst(), effect.getCount()});
  };
  give(message, {schema::FromZygote::LOOKED_UP, std::move(lookedUp)});
}

Status ZygoteProcess::startSession(capnp::MessageBuilder& order, std::span<const int> fds) {
  Status sent = socket_.send(order, fds);
  isSession_ = sent.ok();
  return sent;
}

void ZygoteProcess::give(capnp::MessageBuilder& order, Order expected, std::span<const int> fds) {
  // A process that takes no orders is gone; the watch will see that.
  if (!socket_.send(order, fds)) shutdown(socket_.fd(), SHUT_RDWR);
  orders_.push_back(std::move(expected));
}

void ZygoteProcess::receive() {
  auto packet = socket_.receive<schema::FromZygote>();
  if (!packet) return end(packet.error().message);
  if (!*packet) {
    if (!socket_.wouldBlock()) end("it hung up");
    return;
  }
  std::weak_ptr<void> alive = alive_;
  Status handled = contain([&] { return handle((*packet)->root<schema::FromZygote>(), (*packet)->fds); });
  if (!handled && !alive.expired()) end(handled.error().message);
}

// Fails if the process does not keep to the protocol.
Status ZygoteProcess::handle(schema::FromZygote::Reader message, std::vector<kj::AutoCloseFd>& fds) {
  switch (message.which()) {
    case schema::FromZygote::READY:
      return ready(message.getReady());
    case schema::FromZygote::STARTED:
      if (started_) started_(readConditions(message.getStarted().getConditions()));
      return ready(message.getStarted().getProcessId());
    case schema::FromZygote::CHILD_ENDED: {
      auto ended = message.getChildEnded();
      processes_.ended(static_cast<pid_t>(ended.getProcessId()),
                       {ended.getEnded().getStatus(), ended.getEnded().getSignal()});
      return Done{};
    }
    default: {
      if (orders_.empty() || orders_.front().answer != message.which()) return Error{"it answers nonsense"};
      Order order = std::move(orders_.front());
      orders_.pop_front();
      order.done(message, fds);
      return Done{};
    }
  }
}

Status ZygoteProcess::ready(uint32_t id) {
  if (isReady_) return Error{"it is ready twice"};
  isReady_ = true;
  id_ = static_cast<pid_t>(id);
  auto ready = std::move(ready_);
  if (ready) ready();
  return Done{};
}

void ZygoteProcess::end(const std::string& why) {
  watch_ = Watch();
  auto gone = std::move(gone_);
  if (gone) gone(why);
}

}  // namespace splicehost::broker
