#include "iserv/front_end.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "protocol/describe.h"

namespace splicehost {

namespace {

// How long an interpreter may take to end after it was told to or its client has hung up. It may have
// profiling reports to write, and users have finalizers.
constexpr uint64_t kShutdownPatienceMs = 10'000;
// How long when something went wrong.
constexpr uint64_t kErrorPatienceMs = 500;
// How many requests may wait for their empty replies, so that neither side can block on a full socket.
constexpr size_t kMaxSentAhead = 64;
// How much to read from GHC's pipe at a time: its default capacity.
constexpr size_t kReadSize = 64 << 10;

uint64_t now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

bool runsTemplateHaskell(schema::Request::Which which) {
  return which == schema::Request::RUN_TH || which == schema::Request::RUN_MOD_FINALIZERS;
}

// What a user at GHCi's prompt has run, and would notice being run twice.
bool runsStatement(schema::Request::Which which) {
  switch (which) {
    case schema::Request::EVAL_STMT:
    case schema::Request::RESUME_STMT:
    case schema::Request::EVAL_STRING:
    case schema::Request::EVAL_STRING_TO_STRING:
    case schema::Request::EVAL_IO:
    case schema::Request::SEQ:
    case schema::Request::RESUME_SEQ:
      return true;
    default:
      return false;
  }
}

// Requests whose answer is known before there is an interpreter. The RTS keeps library search paths, and finds
// system libraries, only on Windows (rts/Linker.c, addLibrarySearchPath and following), and GHC asks these for
// each package. If it is not told where a system library is, it has gcc search for the file, once for each
// library, which takes longer than most splices. Those that the interpreter is linked with need not be found:
// GHC takes the answer's file name without its extension, and asks for libNAME.so to be loaded
// (GHC.Runtime.Linker, locateLib, 9.0.2), which is there already.
bool answeredHere(schema::Request::Reader request, const std::set<std::string>& libraries,
                  schema::Reply::Builder reply) {
  constexpr std::string_view kPrefix = "lib";
  switch (request.which()) {
    case schema::Request::ADD_LIBRARY_SEARCH_PATH:
      reply.setPointer(0);
      return true;
    case schema::Request::REMOVE_LIBRARY_SEARCH_PATH:
      reply.setBool(false);
      return true;
    case schema::Request::FIND_SYSTEM_LIBRARY:
      if (std::string name = request.getFindSystemLibrary(); libraries.contains(name)) {
        reply.initMaybeText().setText(name.substr(kPrefix.size()));
      } else {
        reply.initMaybeText().setNothing();
      }
      return true;
    default:
      return false;
  }
}

void complain(const std::string& message) {
  std::fprintf(stderr, "iserv: %s\n", message.c_str());
}

}  // namespace

FrontEnd::FrontEnd(const FrontEndOptions& options) : options_(options) {
  incoming_.buffer = std::make_unique_for_overwrite<std::byte[]>(kReadSize);
}

int FrontEnd::run() {
  Status started = start();
  Result<Next> next = started ? Result<Next>(Next::kContinue) : Result<Next>(started.error());
  while (next && *next == Next::kContinue) next = relayOne();
  if (shared_) shared_->report();

  // Hanging up ends the interpreter, unless it is ending already.
  bool orderly = next && *next == Next::kShutdown;
  if (!orderly) connection_.reset();
  std::optional<Child::Exit> exit = waitForEnd(orderly);
  if (next) return 0;

  std::string message = next.error().message;
  if (!interpreterGone_) {
    complain(message);
    return 1;
  }
  if (!exit) {
    complain("the interpreter ended " + message);
    return 1;
  }
  if (exit->signal != 0) {
    complain("the interpreter was ended by signal " + std::to_string(exit->signal) + " (" +
             strsignal(exit->signal) + ") " + message);
    // GHC shows how its child ended; one core file is enough.
    rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(exit->signal, SIG_DFL);
    raise(exit->signal);
  }
  complain("the interpreter ended with exit status " + std::to_string(exit->status) + " " + message);
  return exit->status == 0 ? 1 : static_cast<int>(exit->status);
}

// How the interpreter ended; nothing if nobody knows, or if nobody needs to.
std::optional<Child::Exit> FrontEnd::waitForEnd(bool orderly) {
  if (child_ && child_->started()) return child_->wait(orderly ? kShutdownPatienceMs : kErrorPatienceMs);
  if (shared_ && interpreterGone_ && !sessionEnd_) return shared_->sessionEnd(kErrorPatienceMs);
  return sessionEnd_;
}

// Both sides start at the same time: a child's answer is awaited when the first request has been read.
Status FrontEnd::start() {
  if (!options_.broker.empty()) {
    auto shared = SharedInterpreter::open(sharedProgram());
    if (shared) {
      shared_ = std::move(*shared);
      return Done{};
    }
    if (!shared.error().message.empty()) complain("libraries are not shared: " + shared.error().message);
  }
  return startChild();
}

SharedProgram FrontEnd::sharedProgram() const {
  return {options_.broker, options_.program, options_.programName, std::string(options_.version->name),
          options_.way, options_.identity};
}

Status FrontEnd::startChild() {
  std::vector<std::string> arguments = {options_.programName, "--fd", std::to_string(Child::kSocket)};
  arguments.insert(arguments.end(), options_.rtsOptions.begin(), options_.rtsOptions.end());
  child_.emplace(options_.program, std::move(arguments));
  if (!child_->started()) {
    return child_->started().error().within("the interpreter could not be started");
  }
  connection_.emplace(child_->takeSocket());
  return sendHello();
}

Status FrontEnd::sendHello() {
  capnp::MallocMessageBuilder builder;
  auto hello = builder.initRoot<schema::ToInterpreter>().initHello();
  hello.setProtocolVersion(schema::PROTOCOL_VERSION);
  hello.setGhcVersion(std::string(options_.version->name));
  hello.setBuildIdentity(options_.identity);
  hello.setWay(options_.way);
  hello.setIgnoredSignals(options_.ignoredSignals);
  hello.setBlockedSignals(options_.blockedSignals);
  if (!connection_->send(builder)) return interpreterGone();
  return Done{};
}

// Gets an interpreter for what must run now: a session of the broker's, or else a child.
Status FrontEnd::attachSession() {
  Result<kj::AutoCloseFd> session = shared_->attach();
  Status attached = session ? Status(Done{}) : Status(session.error());
  if (attached) {
    connection_.emplace(kj::mv(*session));
    connection_->remember();
    attached = sendHello();
    if (attached) attached = replay();
    if (attached) attached = shared_->awaitSession();
    if (attached) attached = awaitGreeting();
  }
  if (attached) return attached;

  if (options_.verbose) trace("  ", "no session: " + attached.error().message, 0, 0);
  return goAlone();
}

// Starts a child in place of what the broker provides.
Status FrontEnd::goAlone() {
  greeted_ = interpreterGone_ = false;
  pending_.clear();
  Status started = startChild();
  if (started) started = replay();
  shared_.reset();
  return started;
}

// If the session was killed from outside: has another one do all that it has done. False if that is not the
// case or cannot be done.
bool FrontEnd::repeatSession() {
  if (!shared_ || !connection_->remembers()) return false;
  sessionEnd_ = shared_->sessionEnd(kErrorPatienceMs);
  // Without the broker nobody knows. If it was the code's own fault it will happen again.
  if (sessionEnd_ && sessionEnd_->signal != SIGKILL) return false;
  Result<kj::AutoCloseFd> session = shared_->attachAgain(sharedProgram());
  Status repeated = session ? shared_->awaitSession() : Status(session.error());
  if (repeated) repeated = connection_->repeatOn(kj::mv(*session));
  // Once: whoever kills it again means it.
  connection_->forget();
  if (!repeated) {
    complain("what the interpreter had run could not be repeated in another one: " + repeated.error().message);
    return false;
  }
  complain("the interpreter was killed; what it had run was run again in another one");
  return true;
}

// Does in the interpreter what GHC believes to be done.
Status FrontEnd::replay() {
  Status status = Done{};
  shared_->replay(child_.has_value(), [&](capnp::MessageBuilder& message) {
    if (!status) return;
    auto request = message.getRoot<schema::ToInterpreter>().getRequest().asReader();
    pending_.push_back({request.which(), subject(request), true, ""});
    if (!connection_->send(message)) {
      status = interpreterGone();
    } else if (pending_.size() >= kMaxSentAhead) {
      Result<Next> next = awaitReplies();
      if (!next) status = next.error();
    }
  });
  return status;
}

Status FrontEnd::checkReplayed(const Pending& request, schema::Reply::Reader reply) {
  if (reply.isLoadedDll() && reply.getLoadedDll().isFailed()) {
    return Error{request.subject + ": " + reply.getLoadedDll().getFailed().cStr()};
  }
  if (reply.isBool() && !reply.getBool()) return Error{request.subject + ": a symbol is missing"};
  return Done{};
}

Error FrontEnd::interpreterGone() {
  interpreterGone_ = true;
  if (!pending_.empty()) return Error{"while it was busy with: " + pending_.front().subject};
  return Error{greeted_ ? "while it was idle" : "while it was starting"};
}

Status FrontEnd::awaitGreeting() {
  greeted_ = true;
  auto message = connection_->receive();
  if (!message) return message.error().within("the interpreter's answer");
  if (!*message) return interpreterGone();
  auto answer = **message;
  if (!answer.isHello()) return Error{"the interpreter's first message is not a hello"};
  if (answer.getHello().isRefused()) {
    return Error{std::string("the interpreter refuses: ") + answer.getHello().getRefused().cStr()};
  }
  return Done{};
}

void FrontEnd::readSome(uint64_t atLeast) {
  if (incoming_.begin == incoming_.bytes.size()) {
    incoming_.bytes.clear();
    incoming_.begin = 0;
  } else if (incoming_.begin > 0) {
    incoming_.bytes.erase(incoming_.bytes.begin(),
                          incoming_.bytes.begin() + static_cast<ptrdiff_t>(incoming_.begin));
    incoming_.begin = 0;
  }
  uint64_t read = 0;
  while (read < atLeast && !incoming_.ended) {
    ssize_t got = ::read(options_.readFd, incoming_.buffer.get(), kReadSize);
    if (got > 0) {
      incoming_.bytes.insert(incoming_.bytes.end(), incoming_.buffer.get(), incoming_.buffer.get() + got);
      read += static_cast<uint64_t>(got);
    } else if (got == 0 || errno != EINTR) {
      incoming_.ended = true;
    }
  }
}

// Waits for GHC's next message. Meanwhile takes the replies that nobody waits for, and notices if the
// interpreter goes: nobody may need it for a long time, and it should not leave this process behind.
Status FrontEnd::waitForGhc() {
  for (;;) {
    if (!connection_ || !connection_->buffered()) {
      // Without an interpreter there is only GHC: poll() ignores a negative fd.
      pollfd fds[] = {{options_.readFd, POLLIN, 0}, {connection_ ? connection_->fd() : -1, POLLIN, 0}};
      if (wait_.poll(fds) < 0) continue;  // a signal
      if (fds[0].revents != 0) return Done{};
    }
    if (!greeted_) {
      if (Status greeting = awaitGreeting(); !greeting) return greeting;
    } else if (pending_.empty()) {
      if (!repeatSession()) return interpreterGone();
    } else {
      Result<Next> next = awaitReply(pending_.front());
      if (!next) return next.error();
      pending_.pop_front();
    }
  }
}

// Decodes the next message from GHC, reading as much as it takes.
Result<FrontEnd::Next> FrontEnd::readMessage(size_t* size, schema::Request::Builder request) {
  for (uint64_t missing = incoming_.unread().empty() ? 1 : 0;;) {
    if (missing > 0) {
      if (Status waited = waitForGhc(); !waited) return waited.error();
      readSome(missing);
    }
    auto decoded = ghc::decodeRequest(*options_.version, incoming_.unread(), request);
    if (!decoded) {
      return decoded.error().within("GHC's message " + std::to_string(messages_));
    }
    if (decoded->size > 0) {
      incoming_.begin += decoded->size;
      *size = decoded->size;
      ++messages_;
      return Next::kContinue;
    }
    missing = decoded->missing;
    if (incoming_.ended) {
      if (incoming_.unread().empty()) return Next::kGhcGone;
      return Error{"GHC's stream ends inside message " + std::to_string(messages_) + ": after " +
                   std::to_string(incoming_.unread().size()) + " bytes of it, at least " +
                   std::to_string(missing) + " are missing"};
    }
  }
}

Result<FrontEnd::Next> FrontEnd::relayOne() {
  capnp::MallocMessageBuilder builder;
  auto request = builder.initRoot<schema::ToInterpreter>().initRequest();
  size_t size = 0;
  Result<Next> read = readMessage(&size, request);
  if (!read || *read != Next::kContinue) return read;

  uint64_t start = options_.verbose ? now() : 0;
  if (options_.verbose) trace("->", describe(request.asReader()), size, 0);
  Result<Next> next = carryOut(request.asReader(), builder);
  if (options_.verbose) trace("  ", "took", 0, now() - start);
  return next;
}

Result<FrontEnd::Next> FrontEnd::carryOut(schema::Request::Reader request,
                                          capnp::MessageBuilder& message) {
  capnp::MallocMessageBuilder builder;
  auto reply = builder.initRoot<schema::Reply>();
  Pending pending{request.which(), subject(request), false, ""};
  if (answeredHere(request, options_.libraries, reply)) return answer(pending, reply);
  if (shared_ && shared_->answerMemory(request, reply)) {
    if (connection_) {
      if (Status replayed = replay(); !replayed) return replayed.error();
    }
    return answer(pending, reply);
  }
  if (!connection_) {
    // GHC may have nothing to run at all.
    if (request.isShutdown()) {
      reply.setDone();
      Result<Next> next = answer(pending, reply);
      return next && *next == Next::kContinue ? Next::kShutdown : next;
    }
    Status records = shared_->awaitRecords();
    if (!records) complain("libraries are not shared: " + records.error().message);
    if (records && shared_->answerLoad(request, reply)) return answer(pending, reply);
    if (Status attached = records ? attachSession() : goAlone(); !attached) return attached.error();
  }
  if (shared_) {
    if (runsStatement(request.which())) connection_->forget();
    shared_->noteRequest(request);
    if (request.isLookupSymbol()) pending.symbol = request.getLookupSymbol();
    if (request.isLookupClosure()) pending.symbol = request.getLookupClosure();
  }
  pending_.push_back(std::move(pending));
  // An interpreter that is gone may have said why, in answer to an earlier request.
  if (!connection_->send(message)) return awaitReplies();
  // GHC does not wait for an answer that has no content, so it is not awaited here either.
  bool waits = ghc::replyKind(request.which()) != schema::Reply::DONE || request.isShutdown();
  if (waits || options_.verbose || pending_.size() >= kMaxSentAhead) return awaitReplies();
  return Next::kContinue;
}

// Waits for something from the interpreter while watching GHC. False if GHC is gone.
Result<bool> FrontEnd::waitForInterpreter(bool relayAnswers) {
  for (;;) {
    if (connection_->buffered()) return true;
    pollfd fds[] = {{connection_->fd(), POLLIN, 0},
                    {options_.readFd, static_cast<short>(relayAnswers ? POLLIN : 0), 0}};
    if (wait_.poll(fds) < 0) continue;  // a signal
    if (fds[0].revents != 0) return true;
    if (fds[1].revents & POLLIN) {
      readSome(1);
      ghc::Bytes answer = incoming_.unread();
      if (answer.empty()) return false;
      if (options_.verbose) trace("->", "answer", answer.size(), 0);
      if (!sendAnswer(answer) && !repeatSession()) return interpreterGone();
      incoming_.begin += answer.size();
    } else if (fds[1].revents != 0) {
      return false;
    }
  }
}

Status FrontEnd::sendAnswer(ghc::Bytes bytes) {
  capnp::MallocMessageBuilder builder(static_cast<uint>(bytes.size() / sizeof(capnp::word) + 16));
  builder.initRoot<schema::ToInterpreter>().setThAnswer(
      {reinterpret_cast<const capnp::byte*>(bytes.data()), bytes.size()});
  return connection_->send(builder);
}

Result<FrontEnd::Next> FrontEnd::awaitReplies() {
  if (!greeted_) {
    if (Status greeting = awaitGreeting(); !greeting) return greeting.error();
  }
  Result<Next> next = Next::kContinue;
  while (next && *next == Next::kContinue && !pending_.empty()) {
    next = awaitReply(pending_.front());
    if (next) pending_.pop_front();
  }
  return next;
}

Result<FrontEnd::Next> FrontEnd::awaitReply(const Pending& request) {
  bool template_haskell = runsTemplateHaskell(request.which);
  for (;;) {
    Result<bool> ready = waitForInterpreter(template_haskell);
    if (!ready) return ready.error();
    if (!*ready) return Next::kGhcGone;
    auto message = connection_->receive();
    if ((!message || !*message) && repeatSession()) continue;
    if (!message) return message.error().within("the interpreter's answer");
    if (!*message) return interpreterGone();
    auto from = **message;

    if (from.isThRequest() && template_haskell) {
      auto question = from.getThRequest();
      if (options_.verbose) {
        trace("<-", thMessageName(*options_.version, question), question.size(), 0);
      }
      ghc::Bytes bytes{reinterpret_cast<const std::byte*>(question.begin()), question.size()};
      if (!writeAll(options_.writeFd, bytes)) return Next::kGhcGone;
      continue;
    }
    if (!from.isReply()) return Error{"the interpreter sent no reply to: " + request.subject};
    if (from.getReply().isFailed()) {
      return Error{request.subject + ": " + from.getReply().getFailed().cStr()};
    }
    if (request.answered) {
      if (Status good = checkReplayed(request, from.getReply()); !good) return good.error();
      return Next::kContinue;
    }
    if (!request.symbol.empty() && from.getReply().getMaybePointer().isPointer()) {
      shared_->noteSymbol(request.symbol);
    }
    Result<Next> next = answer(request, from.getReply());
    bool last = request.which == schema::Request::SHUTDOWN;
    return last && next && *next == Next::kContinue ? Next::kShutdown : next;
  }
}

// Tells GHC. Fails if the reply is none to this request.
Result<FrontEnd::Next> FrontEnd::answer(const Pending& request, schema::Reply::Reader reply) {
  ghc::Writer bytes;
  Status encoded = ghc::encodeReply(*options_.version, request.which, reply, bytes);
  if (!encoded) return encoded.error().within(request.subject);
  if (options_.verbose) trace("<-", describe(reply), bytes.bytes().size(), 0);
  return writeAll(options_.writeFd, bytes.bytes()) ? Next::kContinue : Next::kGhcGone;
}

void FrontEnd::trace(const char* direction, const std::string& text, size_t size,
                     uint64_t nanoseconds) {
  if (nanoseconds > 0) {
    std::fprintf(stderr, "[iserv] %6.3f ms\n", static_cast<double>(nanoseconds) / 1e6);
  } else {
    std::fprintf(stderr, "[iserv] %s %8zu bytes  %s\n", direction, size, text.c_str());
  }
}

}  // namespace splicehost
