#include "iserv/front_end/transcript.h"

#include <capnp/serialize.h>
#include <errno.h>
#include <poll.h>

#include <algorithm>
#include <string>

#include "protocol/describe.h"
#include "protocol/patience.h"

namespace splicehost {

namespace {

// What may be remembered. Few modules' byte code is more than a megabyte.
constexpr size_t kMaxWords = (64 << 20) / sizeof(capnp::word);

}  // namespace

void Transcript::forget() {
  remembering_ = false;
  said_.clear();
}

void Transcript::keep(bool byUs, kj::ArrayPtr<const capnp::word> words) {
  words_ += words.size();
  if (words_ > kMaxWords) return forget();
  auto copy = kj::heapArray<capnp::word>(words.size());
  std::ranges::copy(words.asBytes(), copy.asBytes().begin());
  said_.push_back({byUs, kj::mv(copy)});
}

Status Transcript::send(capnp::MessageBuilder& message) {
  if (remembering_) keep(true, capnp::messageToFlatArray(message));
  return connection_.send(message);
}

Result<std::optional<schema::FromInterpreter::Reader>> Transcript::receive() {
  auto message = connection_.receive<schema::FromInterpreter>();
  if (remembering_ && message && *message) keep(false, connection_.words());
  return message;
}

bool Transcript::await(short event, uint64_t patienceMs, Attention* attention) const {
  pollfd fds[] = {{connection_.fd(), event, 0}};
  int ready = Patience(patienceMs).wait([&](int milliseconds) { return poll(attention, fds, milliseconds); });
  return ready > 0;
}

Status Transcript::repeatOn(kj::AutoCloseFd socket) {
  connection_ = Connection(kj::mv(socket), attention_);
  for (const Said& said : said_) {
    if (said.byUs) {
      auto bytes = said.words.asBytes();
      Status sent = connection_.sendBytes({reinterpret_cast<const std::byte*>(bytes.begin()), bytes.size()});
      if (!sent) return sent;
      continue;
    }
    auto answer = connection_.receive<schema::FromInterpreter>();
    if (!answer) return answer.error();
    if (!*answer) return Error{"the second interpreter is gone, too"};
    // A hello tells the process id.
    if ((*answer)->isHello()) continue;
    if (!std::ranges::equal(connection_.words().asBytes(), said.words.asBytes())) {
      capnp::FlatArrayMessageReader first(said.words);
      return Error{"the second interpreter does not give the same answers: " + describe(**answer) + " instead of " +
                   describe(first.getRoot<schema::FromInterpreter>())};
    }
  }
  return Done{};
}

}  // namespace splicehost
