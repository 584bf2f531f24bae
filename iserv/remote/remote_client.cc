#include "iserv/remote/remote_client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "iserv/front_end/front_end.h"
#include "protocol/ghc_messages.h"
#include "protocol/message_layout.h"
#include "protocol/text.h"

namespace splicehost::remote {

namespace {

using Clock = std::chrono::steady_clock;

// As remote_interpreter.cc's.
constexpr Milliseconds kAliveInterval{5000};
// How often to look whether somebody else has received what is wanted.
constexpr int kLookAgainMs = 20;
// How many replies nobody waits for are kept back.
constexpr size_t kMaxUnsent = 256;
// How long a front end may say nothing while content is awaited from it.
constexpr Milliseconds kContentPatience{20'000};

// A file name, which is made a part of a path here.
Result<std::string> checkedName(capnp::Data::Reader data) {
  std::string name = toString(data);
  if (name.find('/') != name.npos || name.find('\0') != name.npos || name == "." || name == ".." || name.size() > 255) {
    return Error{"the front end names a file '" + name + "'"};
  }
  return name;
}

}  // namespace

RemoteClient::RemoteClient(Channel& channel, ContentStore& store, const BootContent& boot, kj::AutoCloseFd output,
                           kj::AutoCloseFd errors)
    : channel_(channel),
      store_(store),
      boot_(boot),
      output_(kj::mv(output)),
      errors_(kj::mv(errors)),
      events_(epoll_create1(EPOLL_CLOEXEC)) {
  for (int fd : {channel_.fd(), output_.get(), errors_.get()}) {
    epoll_event event = {};
    event.events = EPOLLIN;
    // A regular file, as which standard input may come in a test, is always readable.
    epoll_ctl(events_.get(), EPOLL_CTL_ADD, fd, &event);
  }
}

int RemoteClient::patienceMs() const {
  for (const auto& [digest, want] : wants_) {
    if (!want.arrival) return kLookAgainMs;
  }
  return static_cast<int>(kAliveInterval.count());
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
  if (Status looked = lookForOthersContent(); !looked) return looked;
  if (Status asked = sendWanted(); !asked) return asked;
  passOnOutput();
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
    case schema::ToTarget::INTERPRETER: {
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
          arrived_++};
      incoming.message->setRoot(message);
      if (message.getAwaited()) awaited_.insert(incoming.number);
      incoming_.push_back(std::move(incoming));
      if (!message.hasContent()) return Done{};
      auto content = message.getContent();
      auto digest = readDigest(content.getSha256());
      if (!digest) return digest.error();
      auto name = checkedName(content.getName());
      if (!name) return name.error();
      if (boot_.contains(*digest) || paths_.contains(*digest) || to.getRequest().isUnloadObj()) return Done{};
      return want(*digest, content.getSize(), *name);
    }
    case schema::ToTarget::PART:
      return take(message.getPart());
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

// Sees to it that this content comes to be here.
Status RemoteClient::want(const linker::ContentDigest& digest, uint64_t size, const std::string& name) {
  if (wants_.contains(digest)) return Done{};
  if (auto path = store_.find(digest, name)) {
    paths_.emplace(digest, *path);
    return Done{};
  }
  auto arrival = store_.expect(digest, size);
  if (!arrival) return arrival.error();
  Want& want = wants_[digest];
  want.size = size;
  want.name = name;
  if (!*arrival) return Done{};
  uint64_t offset = (*arrival)->offset();
  want.arrival = std::move(*arrival);
  toAskFor_.emplace_back(digest, offset);
  return Done{};
}

Status RemoteClient::sendWanted() {
  if (toAskFor_.empty()) return Done{};
  capnp::MallocMessageBuilder builder;
  auto list = builder.initRoot<schema::FromTarget>().initWanted(static_cast<uint32_t>(toAskFor_.size()));
  for (uint32_t i = 0; i < list.size(); ++i) {
    list[i].setSha256({toAskFor_[i].first.bytes.data(), toAskFor_[i].first.bytes.size()});
    list[i].setOffset(toAskFor_[i].second);
  }
  toAskFor_.clear();
  (void)told(channel_.send(builder));
  return Done{};
}

Status RemoteClient::take(schema::ContentPart::Reader part) {
  auto digest = readDigest(part.getSha256());
  if (!digest) return digest.error();
  auto want = wants_.find(*digest);
  if (want == wants_.end() || !want->second.arrival) return Error{"content arrives that was not asked for"};
  auto data = part.getData();
  Status appended =
      store_.append(*want->second.arrival, {reinterpret_cast<const std::byte*>(data.begin()), data.size()});
  if (!appended || !part.getLast()) return appended;
  Status finished = store_.finish(std::move(*want->second.arrival), want->second.name);
  want->second.arrival.reset();
  if (!finished) {
    // What was here of an earlier transfer may be what is wrong.
    if (std::exchange(want->second.again, true)) return finished;
    auto arrival = store_.expect(*digest, want->second.size);
    if (!arrival) return arrival.error();
    if (*arrival) {
      toAskFor_.emplace_back(*digest, (*arrival)->offset());
      want->second.arrival = std::move(*arrival);
    }
    return Done{};
  }
  auto path = store_.find(*digest, want->second.name);
  if (!path) return Error{"content that has arrived is not in " + store_.directory()};
  paths_.emplace(*digest, *path);
  wants_.erase(want);
  return Done{};
}

// What somebody else receives is here some time, or is left to us.
Status RemoteClient::lookForOthersContent() {
  for (auto want = wants_.begin(); want != wants_.end();) {
    if (want->second.arrival) {
      ++want;
      continue;
    }
    if (auto path = store_.find(want->first, want->second.name)) {
      paths_.emplace(want->first, *path);
      want = wants_.erase(want);
      continue;
    }
    auto arrival = store_.expect(want->first, want->second.size);
    if (!arrival) return arrival.error();
    if (*arrival) {
      // It may have been put in its place between these two.
      if (auto path = store_.find(want->first, want->second.name)) {
        paths_.emplace(want->first, *path);
        want = wants_.erase(want);
        continue;
      }
      toAskFor_.emplace_back(want->first, (*arrival)->offset());
      want->second.arrival = std::move(*arrival);
    }
    ++want;
  }
  return Done{};
}

Result<std::map<linker::ContentDigest, std::string>> RemoteClient::bring(
    const std::vector<schema::Content::Reader>& contents) {
  std::map<linker::ContentDigest, std::string> brought;
  std::vector<linker::ContentDigest> digests;
  for (auto content : contents) {
    auto digest = readDigest(content.getSha256());
    if (!digest) return digest.error();
    auto name = checkedName(content.getName());
    if (!name) return name.error();
    if (!paths_.contains(*digest)) {
      if (Status wanted = want(*digest, content.getSize(), *name); !wanted) return wanted.error();
    }
    digests.push_back(*digest);
  }
  if (Status asked = sendWanted(); !asked) return asked.error();
  for (const linker::ContentDigest& digest : digests) {
    while (!paths_.contains(digest)) {
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
    brought[digest] = paths_[digest];
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
      } else if (auto loaded = paths_.find(*digest); loaded != paths_.end()) {
        path = loaded->second;
      } else if (!request.isUnloadObj()) {
        return gone_ ? Next::kGone : Next::kNothing;
      }
    }
    if (nothingToDo) {
      capnp::MallocMessageBuilder builder;
      auto reply = builder.initRoot<schema::Reply>();
      if (request.isLoadDll()) {
        reply.initLoadedDll().setHandle(ghc::sharedObjectHandle(path));
      } else {
        reply.setDone();
      }
      uint64_t number = first.number;
      incoming_.pop_front();
      if (!sendReply(number, reply)) return Next::kGone;
      continue;
    }
    message.setRequest(request);
    auto ours = message.getRequest();
    auto rename = [&](capnp::Text::Reader name) { names_[path] = std::string(name.begin(), name.size()); };
    if (!path.empty()) {
      switch (request.which()) {
        case schema::Request::LOAD_ARCHIVE:
          rename(request.getLoadArchive());
          ours.setLoadArchive(path);
          break;
        case schema::Request::LOAD_OBJ:
          rename(request.getLoadObj());
          ours.setLoadObj(path);
          break;
        case schema::Request::UNLOAD_OBJ:
          ours.setUnloadObj(path);
          break;
        case schema::Request::LOAD_DLL: {
          rename(request.getLoadDll());
          std::string theirs = ghc::fileName({request.getLoadDll().begin(), request.getLoadDll().size()});
          handles_[ghc::sharedObjectHandle(theirs)] = ghc::sharedObjectHandle(path);
          ours.setLoadDll(path);
          break;
        }
        default:
          break;
      }
    }
    if (request.isLookupSymbolInDll()) {
      auto handle = handles_.find(request.getLookupSymbolInDll().getHandle());
      if (handle != handles_.end()) ours.getLookupSymbolInDll().setHandle(handle->second);
    }
    *size = request.totalSize().wordCount * sizeof(capnp::word);
    numbers_.push_back(first.number);
    incoming_.pop_front();
    return Next::kRequest;
  }
}

Result<bool> RemoteClient::reply(uint64_t serial, schema::Request::Which which, schema::Reply::Reader reply) {
  if (serial >= numbers_.size()) return Error{"a reply to a request that was not made"};
  if (reply.which() != kindOf(which).reply) return Error{"the interpreter's reply is none to this request"};
  return sendReply(numbers_[serial], reply);
}

bool RemoteClient::sendReply(uint64_t number, schema::Reply::Reader reply) {
  auto builder = std::make_unique<capnp::MallocMessageBuilder>(static_cast<uint>(reply.totalSize().wordCount + 16));
  builder->initRoot<schema::FromTarget>().initInterpreter().setReply(reply);
  early_.emplace(number, std::move(builder));
  while (!early_.empty() && early_.begin()->first == nextReply_) {
    bool awaited = awaited_.erase(nextReply_) > 0;
    ++unsent_;
    bool flush = awaited || unsent_ >= kMaxUnsent;
    if (flush) unsent_ = 0;
    // What was printed comes first.
    if (awaited) passOnOutput();
    auto message = std::move(early_.begin()->second);
    early_.erase(early_.begin());
    ++nextReply_;
    if (!told(channel_.send(*message, flush))) return false;
  }
  return true;
}

bool RemoteClient::ask(ghc::Bytes question) {
  passOnOutput();
  capnp::MallocMessageBuilder builder(static_cast<uint>(question.size() / sizeof(capnp::word) + 16));
  builder.initRoot<schema::FromTarget>().initInterpreter().setThRequest(
      {reinterpret_cast<const capnp::byte*>(question.data()), question.size()});
  return told(channel_.send(builder));
}

bool RemoteClient::told(Status sent) {
  if (!sent) gone_ = true;
  return sent.ok();
}

void RemoteClient::passOnOutput() {
  passOn(output_.get(), STDOUT_FILENO);
  passOn(errors_.get(), STDERR_FILENO);
}

void RemoteClient::passOn(int fd, uint8_t stream) {
  char buffer[16384];
  for (;;) {
    ssize_t got = read(fd, buffer, sizeof buffer);
    if (got <= 0) return;
    printed(stream, {buffer, static_cast<size_t>(got)});
  }
}

void RemoteClient::printed(uint8_t stream, std::string text) {
  text = translated(std::move(text));
  capnp::MallocMessageBuilder builder;
  auto output = builder.initRoot<schema::FromTarget>().initOutput();
  output.setStream(stream);
  output.setData({reinterpret_cast<const capnp::byte*>(text.data()), text.size()});
  (void)told(channel_.send(builder));
}

// With the names that the front end's user knows.
std::string RemoteClient::translated(std::string text) const {
  if (text.find(store_.directory()) == text.npos) return text;
  for (const auto& [path, name] : names_) {
    for (size_t at = 0; (at = text.find(path, at)) != text.npos; at += name.size()) text.replace(at, path.size(), name);
  }
  return text;
}

void RemoteClient::warn(const std::string& message) {
  printed(STDERR_FILENO, "iserv, on the target: " + message + "\n");
}

int RemoteClient::endedBySignal(int signal) {
  signal_ = signal;
  return 1;
}

void RemoteClient::finish(int status) {
  passOnOutput();
  capnp::MallocMessageBuilder builder;
  auto ended = builder.initRoot<schema::FromTarget>().initEnded();
  ended.setStatus(status);
  ended.setSignal(signal_);
  ended.setReason(translated(reason_));
  (void)channel_.send(builder).ok();
}

}  // namespace splicehost::remote
