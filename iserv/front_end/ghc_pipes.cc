#include "iserv/front_end/ghc_pipes.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "iserv/front_end/trace.h"
#include "protocol/connection.h"
#include "protocol/describe.h"
#include "protocol/ghc_messages.h"

namespace splicehost {

namespace {

// How much to read from GHC's pipe at a time: its default capacity.
constexpr size_t kReadSize = 64 << 10;

bool isAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char each) { return static_cast<uint8_t>(each) < 0x80; });
}

std::string_view view(capnp::Text::Reader text) { return {text.begin(), text.size()}; }

}  // namespace

GhcPipes::GhcPipes(const ghc::Version& version, int readFd, int writeFd, bool verbose)
    : version_(version),
      readFd_(readFd),
      writeFd_(writeFd),
      verbose_(verbose),
      buffer_(std::make_unique_for_overwrite<std::byte[]>(kReadSize)) {}

Result<Client::Next> GhcPipes::next(schema::ToInterpreter::Builder message, size_t* size) {
  missing_ = 1;
  if (unread().empty()) return ended_ ? Next::kGone : Next::kNothing;
  auto decoded = ghc::decodeRequest(version_, unread(), message.initRequest());
  if (!decoded) return decoded.error().within("GHC's message " + std::to_string(messages_));
  if (decoded->size > 0) {
    if (Status named = decodeFileName(message.getRequest()); !named) return named.error();
    begin_ += decoded->size;
    *size = decoded->size;
    ++messages_;
    return Next::kRequest;
  }
  missing_ = decoded->missing;
  if (!ended_) return Next::kNothing;
  return Error{"GHC's stream ends inside message " + std::to_string(messages_) + ": after " +
               std::to_string(unread().size()) + " bytes of it, at least " + std::to_string(missing_) + " are missing"};
}

const Result<FileCharset>& GhcPipes::charset() {
  if (!charset_) charset_ = localeCharset();
  return *charset_;
}

// Writes the name of a file anew if the locale is not one of UTF-8.
Status GhcPipes::decodeFileName(schema::Request::Builder request) {
  auto decode = [&](capnp::Text::Reader name, auto set) -> Status {
    if (isAscii(view(name))) return Done{};
    if (!charset()) return charset().error().within(std::string(view(name)));
    if (*charset() == FileCharset::kUtf8) return Done{};
    Result<std::string> decoded = fileNameInUtf8(*charset(), view(name));
    if (!decoded) return decoded.error();
    set(capnp::Text::Reader(decoded->data(), decoded->size()));
    return Done{};
  };
  switch (request.which()) {
    case schema::Request::LOAD_DLL:
      return decode(request.getLoadDll(), [&](auto name) { request.setLoadDll(name); });
    case schema::Request::LOAD_ARCHIVE:
      return decode(request.getLoadArchive(), [&](auto name) { request.setLoadArchive(name); });
    case schema::Request::LOAD_OBJ:
      return decode(request.getLoadObj(), [&](auto name) { request.setLoadObj(name); });
    case schema::Request::UNLOAD_OBJ:
      return decode(request.getUnloadObj(), [&](auto name) { request.setUnloadObj(name); });
    case schema::Request::ADD_LIBRARY_SEARCH_PATH:
      return decode(request.getAddLibrarySearchPath(), [&](auto name) { request.setAddLibrarySearchPath(name); });
    default:
      return Done{};
  }
}

// Reads at least as much as it takes for the message that has begun.
Status GhcPipes::takeIn() {
  if (begin_ == bytes_.size()) {
    bytes_.clear();
    begin_ = 0;
  } else if (begin_ > 0) {
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(begin_));
    begin_ = 0;
  }
  uint64_t read = 0;
  while (read < missing_ && !ended_) {
    ssize_t got = ::read(readFd_, buffer_.get(), kReadSize);
    if (got > 0) {
      bytes_.insert(bytes_.end(), buffer_.get(), buffer_.get() + got);
      read += static_cast<uint64_t>(got);
    } else if (got == 0 || errno != EINTR) {
      ended_ = true;
    }
  }
  missing_ = 1;
  return Done{};
}

Result<bool> GhcPipes::reply(uint64_t, schema::Request::Which which, schema::Reply::Reader reply) {
  ghc::Writer bytes;
  // What the system says of a file has its name in it.
  capnp::MallocMessageBuilder characters;
  if (reply.isLoadedDll() && reply.getLoadedDll().isFailed() && !isAscii(view(reply.getLoadedDll().getFailed())) &&
      charset()) {
    std::string text = charactersOf(*charset(), view(reply.getLoadedDll().getFailed()));
    auto said = characters.initRoot<schema::Reply>();
    said.initLoadedDll().setFailed(capnp::Text::Reader(text.data(), text.size()));
    reply = said.asReader();
  }
  Status encoded = ghc::encodeReply(version_, which, reply, bytes);
  if (!encoded) return encoded.error();
  if (verbose_) trace("<-", describe(reply), bytes.bytes().size());
  return writeAll(writeFd_, bytes.bytes()).ok();
}

bool GhcPipes::ask(ghc::Bytes question) { return writeAll(writeFd_, question).ok(); }

void GhcPipes::complain(const std::string& message) { std::fprintf(stderr, "iserv: %s\n", message.c_str()); }

int GhcPipes::endedBySignal(int signal) {
  // GHC shows how its child ended; one core file is enough.
  rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  ::signal(signal, SIG_DFL);
  sigset_t itself;
  sigemptyset(&itself);
  sigaddset(&itself, signal);
  sigprocmask(SIG_UNBLOCK, &itself, nullptr);
  raise(signal);
  return 1;
}

}  // namespace splicehost
