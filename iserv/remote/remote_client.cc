#include "iserv/remote/remote_client.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <optional>

#include "iserv/remote/digest_memory.h"
#include "protocol/ghc_messages.h"
#include "protocol/message_layout.h"

namespace splicehost::remote {

namespace {

using Clock = std::chrono::steady_clock;

// As remote_interpreter.cc's.
constexpr Milliseconds kAliveInterval{5000};
// How often to look whether somebody else has received what is wanted.
constexpr int kLookAgainMs = 20;
// How long a front end may say nothing while content is awaited from it.
constexpr Milliseconds kContentPatience{20'000};

}  // namespace

RemoteClient::RemoteClient(Channel& channel, ContentStore& store, const BootContent& boot, kj::AutoCloseFd output,
                           kj::AutoCloseFd errors)
    : channel_(channel),
      boot_(boot),
      fetcher_(store),
      printed_(kj::mv(output), kj::mv(errors), store.directory(),
               [this](uint8_t stream, const std::string& text) {
                 capnp::MallocMessageBuilder builder;
                 auto output = builder.initRoot<schema::FromTarget>().initOutput();
                 output.setStream(stream);
                 output.setData({reinterpret_cast<const capnp::byte*>(text.data()), text.size()});
                 (void)told(channel_.send(builder));
               }),
      events_(epoll_create1(EPOLL_CLOEXEC)) {
  for (int fd : {channel_.fd(), printed_.outputFd(), printed_.errorsFd()}) {
    epoll_event event = {};
    event.events = EPOLLIN;
    // A regular file, as which standard input may come in a test, is always readable.
    epoll_ctl(events_.get(), EPOLL_CTL_ADD, fd, &event);
  }
}

int RemoteClient::patienceMs() const {
  return fetcher_.awaitsOthers() ? kLookAgainMs : static_cast<int>(kAliveInterval.count());
}

Status RemoteClient::takeIn() {
  if (Status taken = channel_.takeIn(); !taken) return taken;
  for (;;) {
    auto message = channel_.next<schema::ToTarget>();
    if (!message) return message.error();
    if (!*message) break;
    if (Status handled = handle(**message); !handled) return handled;
  }
  if (channel_.ended()) gone_ = true;
  if (gone_) return Done{};
  if (Status looked = fetcher_.lookForOthers(); !looked) return looked;
  sendWanted();
  printed_.forward();
  if (Clock::now() - channel_.lastSaid() > kAliveInterval) {
    capnp::MallocMessageBuilder builder;
    builder.initRoot<schema::FromTarget>().setAlive();
    (void)told(channel_.send(builder));
  }
  return Done{};
}

Status RemoteClient::handle(schema::ToTarget::Reader message) {
  switch (message.which()) {
    case schema::ToTarget::HELLO:
      return Error{"the front end greets twice"};
    case schema::ToTarget::INTERPRETER:
      return handleInterpreter(message);
    case schema::ToTarget::PART:
      return fetcher_.take(message.getPart());
    case schema::ToTarget::INTERRUPT:
      if (interrupting_) interrupting_();
      // An interpreter that is a child is in this process's group, as it is in GHC's where that is.
      kill(0, SIGINT);
      return Done{};
    case schema::ToTarget::ALIVE:
      return Done{};
    case schema::ToTarget::UNREADABLE:
      return Error{message.getUnreadable().getReason().cStr()};
  }
  return Done{};
}

Status RemoteClient::handleInterpreter(schema::ToTarget::Reader message) {
  auto to = message.getInterpreter();
  if (to.isThAnswer()) {
    auto answer = to.getThAnswer();
    auto* bytes = reinterpret_cast<const std::byte*>(answer.begin());
    answer_.insert(answer_.end(), bytes, bytes + answer.size());
    return Done{};
  }
  if (!to.isRequest()) return Error{"the front end sent something that is not a request"};
  Incoming incoming{
      std::make_unique<capnp::MallocMessageBuilder>(static_cast<uint>(message.totalSize().wordCount + 16)),
      replies_.addRequest(message.getAwaited())};
  incoming.message->setRoot(message);
  incoming_.push_back(std::move(incoming));
  if (!message.hasContent()) return Done{};
  auto content = readAnnounced(message.getContent());
  if (!content) return content.error();
  if (boot_.contains(content->digest) || to.getRequest().isUnloadObj()) return Done{};
  return fetcher_.want(*content);
}

// Asks for what is not here.
void RemoteClient::sendWanted() {
  std::vector<ContentFetcher::Missing> missing = fetcher_.takeMissing();
  if (missing.empty()) return;
  capnp::MallocMessageBuilder builder;
  auto list = builder.initRoot<schema::FromTarget>().initWanted(static_cast<uint32_t>(missing.size()));
  for (uint32_t i = 0; i < list.size(); ++i) {
    list[i].setSha256({missing[i].digest.bytes.data(), missing[i].digest.bytes.size()});
    list[i].setOffset(missing[i].offset);
  }
  (void)told(channel_.send(builder));
}

Result<std::map<linker::ContentDigest, std::string>> RemoteClient::bring(
    const std::vector<schema::Content::Reader>& contents) {
  std::vector<linker::ContentDigest> digests;
  for (auto content : contents) {
    auto announced = readAnnounced(content);
    if (!announced) return announced.error();
    if (Status wanted = fetcher_.want(*announced); !wanted) return wanted.error();
    digests.push_back(announced->digest);
  }
  sendWanted();
  std::map<linker::ContentDigest, std::string> brought;
  for (const linker::ContentDigest& digest : digests) {
    const std::string* path = nullptr;
    while ((path = fetcher_.find(digest)) == nullptr) {
      if (!channel_.buffered()) {
        pollfd wait = {fd(), POLLIN, 0};
        (void)poll(&wait, 1, patienceMs());
      }
      if (Status taken = takeIn(); !taken) return taken.error();
      if (gone_) return Error{"the front end is gone"};
      if (Clock::now() - channel_.lastHeard() > kContentPatience) {
        return Error{"the front end has sent nothing for " + std::to_string(kContentPatience.count() / 1000) + " s"};
      }
    }
    brought[digest] = *path;
  }
  return brought;
}

Result<Client::Next> RemoteClient::next(schema::ToInterpreter::Builder message, size_t* size) {
  for (;;) {
    if (incoming_.empty()) return gone_ ? Next::kGone : Next::kNothing;
    Incoming& first = incoming_.front();
    auto to = first.message->getRoot<schema::ToTarget>().asReader();
    auto request = to.getInterpreter().getRequest();
    std::string path;
    bool nothingToDo = false;
    if (to.hasContent()) {
      auto digest = readDigest(to.getContent().getSha256());
      if (!digest) return digest.error();
      if (auto boot = boot_.find(*digest); boot != boot_.end()) {
        path = boot->second;
        nothingToDo = path.empty() || request.isUnloadObj();
      } else if (const std::string* here = fetcher_.find(*digest)) {
        path = *here;
      } else if (!request.isUnloadObj()) {
        return gone_ ? Next::kGone : Next::kNothing;
      }
    }
    if (nothingToDo) {
      bool sent = sendLoaded(first.number, request, path);
      incoming_.pop_front();
      if (!sent) return Next::kGone;
      continue;
    }
    message.setRequest(request);
    auto ours = message.getRequest();
    if (!path.empty()) nameFile(request, path, ours);
    if (request.isLookupSymbolInDll()) {
      auto handle = handles_.find(request.getLookupSymbolInDll().getHandle());
      if (handle != handles_.end()) ours.getLookupSymbolInDll().setHandle(handle->second);
    }
    *size = request.totalSize().wordCount * sizeof(capnp::word);
    replies_.passOn(first.number);
    incoming_.pop_front();
    return Next::kRequest;
  }
}

// Has the interpreter find the file of a request here, and remembers what it is called there.
void RemoteClient::nameFile(schema::Request::Reader theirs, const std::string& path, schema::Request::Builder ours) {
  auto isCalled = [&](capnp::Text::Reader name) { printed_.rename(path, std::string(name.begin(), name.size())); };
  switch (theirs.which()) {
    case schema::Request::LOAD_ARCHIVE:
      isCalled(theirs.getLoadArchive());
      ours.setLoadArchive(path);
      break;
    case schema::Request::LOAD_OBJ:
      isCalled(theirs.getLoadObj());
      ours.setLoadObj(path);
      break;
    case schema::Request::UNLOAD_OBJ:
      ours.setUnloadObj(path);
      break;
    case schema::Request::LOAD_DLL: {
      isCalled(theirs.getLoadDll());
      std::string name = ghc::fileName({theirs.getLoadDll().begin(), theirs.getLoadDll().size()});
      handles_[ghc::sharedObjectHandle(name)] = ghc::sharedObjectHandle(path);
      ours.setLoadDll(path);
      break;
    }
    default:
      break;
  }
}

Result<bool> RemoteClient::reply(uint64_t serial, schema::Request::Which which, schema::Reply::Reader reply) {
  auto number = replies_.numberOf(serial);
  if (!number) return number.error();
  if (reply.which() != kindOf(which).reply) return Error{"the interpreter's reply is none to this request"};
  return sendReply(*number, reply);
}

bool RemoteClient::sendReply(uint64_t number, schema::Reply::Reader reply) {
  replies_.addReply(number, reply);
  while (auto due = replies_.next()) {
    // What was printed comes first.
    if (due->awaited) printed_.forward();
    if (!told(channel_.send(*due->message, due->flush))) return false;
  }
  return true;
}

// Replies to a request to load what the interpreter has already.
bool RemoteClient::sendLoaded(uint64_t number, schema::Request::Reader request, const std::string& path) {
  capnp::MallocMessageBuilder builder;
  auto reply = builder.initRoot<schema::Reply>();
  if (request.isLoadDll()) {
    reply.initLoadedDll().setHandle(ghc::sharedObjectHandle(path));
  } else {
    reply.setDone();
  }
  return sendReply(number, reply);
}

bool RemoteClient::ask(ghc::Bytes question) {
  printed_.forward();
  capnp::MallocMessageBuilder builder(static_cast<uint>(question.size() / sizeof(capnp::word) + 16));
  builder.initRoot<schema::FromTarget>().initInterpreter().setThRequest(
      {reinterpret_cast<const capnp::byte*>(question.data()), question.size()});
  return told(channel_.send(builder));
}

bool RemoteClient::told(const Status& sent) {
  if (!sent) gone_ = true;
  return sent.ok();
}

void RemoteClient::warn(const std::string& message) {
  printed_.print(STDERR_FILENO, "iserv, on the target: " + message + "\n");
}

int RemoteClient::endedBySignal(int signal) {
  signal_ = signal;
  return 1;
}

void RemoteClient::finish(int status) {
  printed_.forward();
  capnp::MallocMessageBuilder builder;
  auto ended = builder.initRoot<schema::FromTarget>().initEnded();
  ended.setStatus(status);
  ended.setSignal(signal_);
  ended.setReason(printed_.translated(reason_));
  (void)channel_.send(builder).ok();
}

}  // namespace splicehost::remote
