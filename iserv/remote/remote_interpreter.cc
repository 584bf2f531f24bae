#include "iserv/remote/remote_interpreter.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <span>
#include <utility>

#include "protocol/connection.h"
#include "protocol/describe.h"
#include "protocol/ghc_messages.h"
#include "protocol/system.h"
#include "protocol/text.h"

namespace splicehost::remote {

namespace {

using Clock = std::chrono::steady_clock;

// A target says something at least this often, and so does a front end.
constexpr Milliseconds kAliveInterval{5000};
// When a target that says nothing is taken to be gone, or the connection when it takes nothing. A user who gives a
// target more time to answer first has a slow one: it may be silent for as long.
constexpr Milliseconds kSilencePatience{20'000};
constexpr Milliseconds kUsualConnectPatience{30'000};
Milliseconds patienceWith(Milliseconds connectPatience) {
  return connectPatience > kUsualConnectPatience ? connectPatience : kSilencePatience;
}
// Bytes that are kept back.
constexpr size_t kMaxUnsent = 16 << 10;
// Each wait costs a round trip.
constexpr size_t kMostPending = 1024;

Error within(const Destination& destination, const Error& error) {
  return error.within("the target '" + destination.text + "' cannot be reached");
}

}  // namespace

Result<std::unique_ptr<Interpreter>> RemoteInterpreter::connect(RemoteOptions options, Attention& attention) {
  auto connected = connectTo(options.destination, options.connectPatience, &attention);
  if (!connected) return within(options.destination, connected.error());
  return over(std::move(*connected), std::move(options), attention);
}

Result<std::unique_ptr<Interpreter>> RemoteInterpreter::over(Connected connected, RemoteOptions options,
                                                             Attention& attention) {
  std::unique_ptr<RemoteInterpreter> interpreter(
      new RemoteInterpreter(std::move(options), attention, std::move(connected)));
  if (Status said = interpreter->sayHello(); !said) return said.error();
  return std::unique_ptr<Interpreter>(std::move(interpreter));
}

RemoteInterpreter::RemoteInterpreter(RemoteOptions options, Attention& attention, Connected connected)
    : options_(std::move(options)),
      attention_(attention),
      connected_(std::move(connected)),
      channel_(
          std::make_unique<Channel>(std::move(connected_.stream), patienceWith(options_.connectPatience), &attention)),
      digests_(options_.digestFile),
      files_(digests_.cache(), &attention),
      started_(Clock::now()) {
  if (!connected_.command) return;
  channel_->expectGreeting(
      [](std::string_view text) { (void)writeAll(STDERR_FILENO, std::as_bytes(std::span(text))).ok(); });
}

// Hanging up ends the interpreter, and a command.
RemoteInterpreter::~RemoteInterpreter() noexcept(false) { channel_.reset(); }

Status RemoteInterpreter::sayHello() {
  capnp::MallocMessageBuilder builder;
  auto hello = builder.initRoot<schema::ToTarget>().initHello();
  hello.setProtocolVersion(schema::REMOTE_PROTOCOL_VERSION);
  hello.setToken(toData(options_.destination.token));
  auto code = hello.initCode();
  code.setGhcVersion(options_.ghcVersion);
  code.setWay(options_.way);
  code.setWordBits(sizeof(void*) * 8);
  code.setBigEndian(std::endian::native == std::endian::big);
  code.setArchitecture(options_.architecture);
  code.setBuildIdentity(options_.buildIdentity);
  code.setInterpreterProtocol(schema::PROTOCOL_VERSION);
  auto variables = hello.initVariables(static_cast<uint32_t>(options_.variables.size()));
  for (uint32_t i = 0; i < variables.size(); ++i) variables.set(i, toData(options_.variables[i]));
  std::unique_ptr<char, decltype(&free)> directory(getcwd(nullptr, 0), &free);
  if (!directory) return systemError("the working directory");
  directory_ = directory.get();
  hello.setDirectory(toData(directory_));
  // There is no way to ask.
  mode_t mask = umask(0);
  umask(mask);
  hello.setUmask(mask);
  auto words = hello.initRtsOptions(static_cast<uint32_t>(options_.rtsOptions.size()));
  for (uint32_t i = 0; i < words.size(); ++i) words.set(i, options_.rtsOptions[i]);
  if (options_.files) {
    auto tree = describeProject(*options_.files, files_);
    if (!tree) return tree.error();
    if (!attention_.isNeeded()) return lost("nobody needs it");
    auto files = hello.initFiles();
    files.setRoot(toData(options_.files->root));
    setContent(files.initTree(), *tree);
  }
  if (Status sent = channel_->send(builder); !sent) return lost(sent.error().message);
  return Done{};
}

Result<Interpreter::Answer> RemoteInterpreter::answer(schema::Request::Reader request, schema::Reply::Builder reply) {
  if (request.isAddLibrarySearchPath()) libraryDirectory_ = request.getAddLibrarySearchPath().cStr();
  if (answerWithoutInterpreter(request, options_.libraries, reply)) return Answer::kWhole;
  if (placed_.answer(request, reply)) {
    sendPlaced(subject(request));
    return Answer::kWhole;
  }
  return answerAhead(request, reply) ? Answer::kAhead : Answer::kNone;
}

// That it cannot be sent shows in what is awaited next.
void RemoteInterpreter::sendPlaced(const std::string& subject) {
  capnp::MallocMessageBuilder builder;
  bool isAny = placed_.fill(builder.initRoot<schema::ToInterpreter>().initRequest(), false);
  if (isAny) (void)send(builder, {schema::Request::PLACE_DATA, subject, 0, true}, false).ok();
}

// A request whose answer is the same whenever it succeeds. If it fails, that shows in what is awaited next, and the
// compiler gets no answer to that. Not a system library, whose absence it can live with.
bool RemoteInterpreter::answerAhead(schema::Request::Reader request, schema::Reply::Builder reply) const {
  if (request.isResolveObjs()) {
    reply.setBool(true);
    return true;
  }
  if (!request.isLoadDll()) return false;
  std::string file = ghc::fileName({request.getLoadDll().begin(), request.getLoadDll().size()});
  std::string name = file.substr(file.rfind('/') + 1);
  if (!options_.libraries.contains(file) && !name.starts_with("libHS") && !name.starts_with("libghc_")) return false;
  reply.initLoadedDll().setHandle(ghc::sharedObjectHandle(file));
  return true;
}

// A library of the system's is not on the target. GHC names the directories of a package before its libraries.
std::string RemoteInterpreter::hintOnMissing(const std::string& subject) const {
  std::string hint = " (on the target, which has its own system libraries; " + subject + " was asked for";
  if (!libraryDirectory_.empty()) hint += " by the package that has libraries in " + libraryDirectory_;
  return hint + ")";
}

size_t RemoteInterpreter::mostPending() const { return kMostPending; }

Status RemoteInterpreter::sendAnswer(capnp::MessageBuilder& message) {
  // Why it cannot be sent is for receive() to say.
  (void)put(message, true).ok();
  return Done{};
}

std::optional<Child::Exit> RemoteInterpreter::end(Ending, Attention&) {
  channel_.reset();
  return end_;
}

Status RemoteInterpreter::put(capnp::MessageBuilder& message, bool awaited) {
  // Why there is no interpreter any more is for receive() to say.
  if (ended_) return Done{};
  Status sent = sendRequest(message.getRoot<schema::ToInterpreter>().asReader(), awaited);
  if (!sent) {
    ended_ = true;
    reason_ = sent.error().message;
  }
  return sent;
}

Status RemoteInterpreter::sendRequest(schema::ToInterpreter::Reader message, bool awaited) {
  if (!message.isRequest()) return sendOne(message, std::nullopt, "", awaited);
  auto request = message.getRequest();
  auto nameOf = [](capnp::Text::Reader text) { return ghc::fileName({text.begin(), text.size()}); };
  switch (request.which()) {
    case schema::Request::LOAD_DLL:
      return sendLoadDll(message, nameOf(request.getLoadDll()), awaited);
    case schema::Request::LOAD_ARCHIVE:
    case schema::Request::LOAD_OBJ: {
      bool archive = request.isLoadArchive();
      std::string file = nameOf(archive ? request.getLoadArchive() : request.getLoadObj());
      auto content = archive ? files_.archive(file) : files_.file(file);
      if (!content) return content.error();
      // The interpreter knows a file by its content, and the compiler by its name: an object that has changed must
      // go before it comes again.
      auto old = loaded_.find(file);
      if (!archive && old != loaded_.end() && old->second->digest != content->digest) {
        Status unloaded = sendAlone(schema::Request::UNLOAD_OBJ, file, old->second);
        if (!unloaded) return unloaded;
      }
      loaded_.insert_or_assign(file, *content);
      return sendOne(message, *content, file, awaited);
    }
    case schema::Request::UNLOAD_OBJ: {
      std::string file = nameOf(request.getUnloadObj());
      auto old = loaded_.extract(file);
      return sendOne(message, old.empty() ? std::nullopt : old.mapped(), file, awaited);
    }
    default:
      return sendOne(message, std::nullopt, "", awaited);
  }
}

Status RemoteInterpreter::sendLoadDll(schema::ToInterpreter::Reader message, const std::string& file, bool awaited) {
  auto parts = files_.sharedObject(file);
  if (!parts) return parts.error();
  for (size_t i = 0; i + 1 < parts->size(); ++i) {
    const auto& part = (*parts)[i];
    if (Status sent = sendAlone(schema::Request::LOAD_DLL, part.path, part.content); !sent) return sent;
  }
  const auto& last = parts->back();
  // If the target's loader is to find it: by this name.
  return sendOne(message, last.content, last.content ? file : last.path, awaited);
}

// A request of our own, with a reply that is not for the front end.
Status RemoteInterpreter::sendAlone(schema::Request::Which which, const std::string& file,
                                    const std::optional<ContentSource>& content) {
  capnp::MallocMessageBuilder builder;
  auto to = builder.initRoot<schema::ToTarget>();
  auto request = to.initInterpreter().initRequest();
  if (which == schema::Request::LOAD_DLL) {
    request.setLoadDll(file);
  } else {
    request.setUnloadObj(file);
  }
  if (content) setContent(to.initContent(), *content);
  replies_.push_back(false);
  return channel_->send(builder, false);
}

Status RemoteInterpreter::sendOne(schema::ToInterpreter::Reader message, const std::optional<ContentSource>& content,
                                  const std::string& file, bool awaited) {
  capnp::MallocMessageBuilder builder;
  auto to = builder.initRoot<schema::ToTarget>();
  to.setInterpreter(message);
  to.setAwaited(awaited);
  if (content) setContent(to.initContent(), *content);
  if (message.isRequest()) {
    replies_.push_back(true);
    // What the target is to find goes by another name there.
    if (message.getRequest().isLoadDll() && !content) to.getInterpreter().getRequest().setLoadDll(file);
  }
  // What is not awaited goes with the next message, or while the compiler is busy.
  bool now = awaited || channel_->unsent() > kMaxUnsent;
  if (Status sent = channel_->send(builder, now); !sent) return lost(sent.error().message);
  return Done{};
}

void RemoteInterpreter::flush() {
  // If the connection is lost that shows in what is awaited.
  (void)channel_->flush().ok();
}

Result<std::optional<schema::FromInterpreter::Reader>> RemoteInterpreter::take() {
  Result<bool> is = ready();
  if (!is) return is.error();
  if (!*is) return std::optional<schema::FromInterpreter::Reader>();
  if (message_) return std::exchange(message_, std::nullopt);
  if (!reason_.empty()) return Error{reason_};
  return gone();
}

Result<bool> RemoteInterpreter::ready() {
  if (message_ || ended_) return true;
  if (std::exchange(interrupt_, false)) sendInterrupt();
  for (Status sent = Done{};;) {
    if (Status taken = channel_->takeIn(); !taken) return lost(taken.error().message);
    for (;;) {
      auto message = channel_->next<schema::FromTarget>();
      if (!message) return lost(message.error().message);
      if (!*message) break;
      if (Status handled = handle(**message); !handled) return handled.error();
      if (message_ || ended_) return true;
    }
    if (!sent) return lost(sent.error().message);
    if (wanted_.empty()) break;
    // One part, since there are others to be looked after. If that fails, the target may have said why.
    sent = sendPart();
    if (sent) return false;
  }
  if (channel_->ended()) return lost("it hung up");
  auto now = Clock::now();
  if (!greeted_ && now - started_ > options_.connectPatience) {
    return lost("it has not answered within " + std::to_string(options_.connectPatience.count() / 1000) + " s");
  }
  if (auto patience = patienceWith(options_.connectPatience); greeted_ && now - channel_->lastHeard() > patience) {
    return lost("it has said nothing for " + std::to_string(patience.count() / 1000) + " s");
  }
  if (now - channel_->lastSaid() > kAliveInterval) {
    capnp::MallocMessageBuilder builder;
    builder.initRoot<schema::ToTarget>().setAlive();
    if (Status sent = channel_->send(builder); !sent) return lost(sent.error().message);
  }
  return false;
}

int RemoteInterpreter::patienceMs() const {
  if (interrupt_ || !wanted_.empty()) return 0;
  if (greeted_) return static_cast<int>(kAliveInterval.count());
  auto left = std::chrono::duration_cast<Milliseconds>(started_ + options_.connectPatience - Clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count() + 1, 1, kAliveInterval.count()));
}

Status RemoteInterpreter::handle(schema::FromTarget::Reader message) {
  if (!greeted_ && !message.isHello() && !message.isEnded() && !message.isOutput()) {
    return lost("its first message is not a hello");
  }
  switch (message.which()) {
    case schema::FromTarget::HELLO:
      return handleHello(message.getHello());
    case schema::FromTarget::INTERPRETER:
      if (message.getInterpreter().isReply()) {
        if (replies_.empty()) return lost("it answers what it was not asked");
        bool ours = replies_.front();
        replies_.pop_front();
        auto reply = message.getInterpreter().getReply();
        if (!ours) {
          if (reply.isFailed()) return Error{reply.getFailed().cStr()};
          if (reply.isLoadedDll() && reply.getLoadedDll().isFailed()) {
            return Error{reply.getLoadedDll().getFailed().cStr()};
          }
          return Done{};
        }
        if (options_.files && reply.isQResult() && reply.getQResult().isException()) {
          std::string hint = explainMissingFile(reply.getQResult().getException().cStr(), *options_.files, directory_);
          if (!hint.empty()) std::fprintf(stderr, "iserv: %s\n", hint.c_str());
        }
      }
      message_ = message.getInterpreter();
      return Done{};
    case schema::FromTarget::WANTED:
      for (auto wanted : message.getWanted()) {
        auto digest = readDigest(wanted.getSha256());
        if (!digest) return lost("it wants content by a digest of another size");
        Wanted& next = wanted_.emplace_back();
        next.digest = *digest;
        next.offset = wanted.getOffset();
      }
      return Done{};
    case schema::FromTarget::OUTPUT: {
      auto output = message.getOutput();
      int stream = output.getStream() == STDERR_FILENO ? STDERR_FILENO : STDOUT_FILENO;
      print(stream, output.getData());
      return Done{};
    }
    case schema::FromTarget::ENDED: {
      auto ended = message.getEnded();
      ended_ = true;
      end_ = Child::Exit{ended.getStatus(), ended.getSignal()};
      if (ended.getSignal() == 0) reason_ = ended.getReason().cStr();
      return Done{};
    }
    case schema::FromTarget::ALIVE:
      return Done{};
  }
  return Done{};
}

Status RemoteInterpreter::handleHello(schema::TargetHello::Reader hello) {
  if (greeted_) return lost("it greets twice");
  greeted_ = true;
  if (hello.isRefused()) {
    return Error{"the target '" + options_.destination.text + "' refuses: " + hello.getRefused().cStr()};
  }
  return Done{};
}

// Sends a part of what the target wants, and then looks what it has to say: it may want no more.
Status RemoteInterpreter::sendPart() {
  Wanted& wanted = wanted_.front();
  auto piece = files_.read(wanted.digest, wanted.offset);
  capnp::Data::Reader sha256(wanted.digest.bytes.data(), wanted.digest.bytes.size());
  if (!piece) {
    capnp::MallocMessageBuilder builder;
    auto unreadable = builder.initRoot<schema::ToTarget>().initUnreadable();
    unreadable.setSha256(sha256);
    unreadable.setReason(piece.error().message);
    wanted_.pop_front();
    return channel_->send(builder);
  }
  capnp::MallocMessageBuilder builder(static_cast<uint>(piece->bytes.size() / sizeof(capnp::word) + 64));
  auto part = builder.initRoot<schema::ToTarget>().initPart();
  part.setSha256(sha256);
  part.setData({reinterpret_cast<const capnp::byte*>(piece->bytes.data()), piece->bytes.size()});
  part.setLast(piece->last);
  wanted.offset += piece->bytes.size();
  if (piece->last) wanted_.pop_front();
  return channel_->send(builder, true, Channel::Kind::kContent);
}

// If nobody reads it any more it is lost, as it would be here.
void RemoteInterpreter::print(int stream, capnp::Data::Reader text) {
  while (text.size() > 0) {
    pollfd fds[] = {{stream, POLLOUT, 0}};
    int ready = attention_.poll(fds, -1);
    // So much a pipe takes without blocking, if it takes anything.
    ssize_t written = ready < 0 ? -1 : write(stream, text.begin(), std::min<size_t>(text.size(), PIPE_BUF));
    if (written < 0 && errno != EINTR) return;
    if (written > 0) text = text.slice(static_cast<size_t>(written), text.size());
  }
}

void RemoteInterpreter::sendInterrupt() {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<schema::ToTarget>().setInterrupt();
  // If the connection is lost that shows in what is awaited.
  (void)channel_->send(builder).ok();
}

// The connection is of no use any more. Says which it is, and how a command ended.
Error RemoteInterpreter::lost(const std::string& how) {
  constexpr Milliseconds kPatience{500};
  std::string what = "the connection to the target '" + options_.destination.text + "' " +
                     (greeted_ ? "is lost: " : "could not be made: ") + how;
  if (connected_.command && !attention_.cancelled()) {
    if (auto ended = connected_.command->ended(kPatience)) what += "; the command " + *ended;
    channel_->endGreeting();
  }
  return Error{what};
}

}  // namespace splicehost::remote
