#include "tests/bench/ledger.h"

#include <capnp/message.h>
#include <time.h>

#include <algorithm>
#include <map>

#include "protocol/ghc_messages.h"
#include "protocol/message_layout.h"

namespace splicehost {

namespace {

using Kind = schema::Request::Which;

int64_t nanosecondsNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void append(std::vector<std::byte>& to, ghc::Bytes bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }

// Finds the last of the requests that `bytes` consists of: the one that is answered. GHC does not wait
// for the others, whose answers have no content. False if the bytes are no requests.
bool lastRequest(const ghc::Version& version, ghc::Bytes bytes, Kind& last) {
  while (!bytes.empty()) {
    capnp::MallocMessageBuilder message;
    auto request = message.initRoot<schema::Request>();
    Result<ghc::Decoded> decoded = ghc::decodeRequest(version, bytes, request);
    if (!decoded || decoded->size == 0) return false;
    last = request.which();
    bytes = bytes.subspan(decoded->size);
  }
  return true;
}

// Whether Template Haskell code is done that was started by a request of this kind. Until then the
// interpreter asks questions, which cannot be told apart without knowing Template Haskell's syntax; but
// RunTHDone and a result are the last that it says.
bool isDone(const ghc::Version& version, Kind kind, ghc::Bytes answer) {
  for (size_t i = 0; i < answer.size(); ++i) {
    if (answer[i] != std::byte{version.runTHDoneTag}) continue;
    capnp::MallocMessageBuilder message;
    auto reply = message.initRoot<schema::Reply>();
    if (ghc::decodeReply(version, kind, answer.subspan(i + 1), reply)) return true;
  }
  return false;
}

}  // namespace

void Ledger::fromGhc(ghc::Bytes bytes) {
  bytesToInterpreter_ += bytes.size();
  if (!waiting_) turns_.emplace_back();
  append(turns_.back().request, bytes);
  waiting_ = true;
  requestedAt_ = nanosecondsNow();
}

void Ledger::fromInterpreter(ghc::Bytes bytes) {
  const int64_t now = nanosecondsNow();
  bytesFromInterpreter_ += bytes.size();
  if (waiting_) turns_.back().nanoseconds = now - requestedAt_;
  waiting_ = false;
  if (!turns_.empty()) append(turns_.back().answer, bytes);
}

// A kind is a request's name, or "thAnswer": GHC has answered a question of Template Haskell code,
// which goes on until its next question or its end.
std::vector<std::string> Ledger::kinds(const ghc::Version* version) const {
  std::vector<std::string> names;
  Kind kind = Kind::SHUTDOWN;
  bool running = false;  // Template Haskell code, by a request of this kind
  for (const Turn& turn : turns_) {
    if (running) {
      names.push_back("thAnswer");
    } else {
      const bool known = version != nullptr && lastRequest(*version, turn.request, kind);
      names.push_back(known ? std::string(kindOf(kind).name) : "unknown");
      running = known && (kind == Kind::RUN_TH || kind == Kind::RUN_MOD_FINALIZERS);
    }
    if (running) running = !isDone(*version, kind, turn.answer);
  }
  return names;
}

std::string Ledger::toJson(std::string_view way, const ghc::Version* version) const {
  const std::vector<std::string> names = kinds(version);
  std::vector<int64_t> all;
  std::map<std::string, std::string> byKind;  // nanoseconds of each turn, in order
  for (size_t i = 0; i + (waiting_ ? 1 : 0) < turns_.size(); ++i) {
    all.push_back(turns_[i].nanoseconds);
    std::string& list = byKind[names[i]];
    list += (list.empty() ? "" : ", ") + std::to_string(all.back());
  }
  const int64_t first = all.empty() ? 0 : all.front();
  int64_t sum = 0;
  for (int64_t turn : all) sum += turn;
  std::sort(all.begin(), all.end());

  std::string json;
  auto member = [&json](const char* name, const std::string& value) {
    json += (json.empty() ? "{\"" : ", \"") + std::string(name) + "\": " + value;
  };
  member("way", "\"" + std::string(way) + "\"");
  member("wait_ns", std::to_string(sum));
  member("turns", std::to_string(all.size()));
  member("bytes_to_interpreter", std::to_string(bytesToInterpreter_));
  member("bytes_from_interpreter", std::to_string(bytesFromInterpreter_));
  member("first_turn_ns", std::to_string(first));
  member("median_turn_ns", std::to_string(all.empty() ? 0 : all[all.size() / 2]));
  member("longest_turn_ns", std::to_string(all.empty() ? 0 : all.back()));
  std::string lists;
  for (const auto& [kind, times] : byKind) {
    lists += (lists.empty() ? "\"" : ", \"") + kind + "\": [" + times + "]";
  }
  member("turns_ns", "{" + lists + "}");
  return json + "}\n";
}

}  // namespace splicehost
