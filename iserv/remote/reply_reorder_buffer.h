// Puts an interpreter's replies in the order of the requests that a front end has made. They come out of it in another
// one: some are given before those of earlier requests (Client::reply()), and some requests never reach the
// interpreter. Also says when replies should leave: nobody waits for most of them, and those can go with one that
// somebody does.
#pragma once

#include <capnp/message.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "protocol/interpreter.capnp.h"
#include "protocol/result.h"

namespace splicehost::remote {

class ReplyReorderBuffer {
 public:
  // How many replies nobody waits for are kept back.
  static constexpr size_t kMaxUnsent = 256;

  // The next request has come; whether its reply is waited for. The result is its number among all, from 0.
  uint64_t addRequest(bool awaited);
  // The request with this number goes to the interpreter. Its serial is how many went there before.
  void passOn(uint64_t number) { passedOn_.push_back(number); }
  // The number of a request that went to the interpreter. Fails if there was none with this serial.
  Result<uint64_t> numberOf(uint64_t serial) const;

  // The reply to a request, which is copied. Once.
  void addReply(uint64_t number, schema::Reply::Reader reply);

  // A reply whose turn it is.
  struct Due {
    std::unique_ptr<capnp::MallocMessageBuilder> message;  // a FromTarget
    bool awaited = false;
    bool flush = false;  // it should leave now, with those before it
  };
  // Nothing if that of an earlier request is still to come.
  std::optional<Due> next();

 private:
  uint64_t requests_ = 0;
  std::set<uint64_t> awaited_;
  std::vector<uint64_t> passedOn_;  // numbers, by serial
  uint64_t due_ = 0;                // the number of the request whose reply is next
  std::map<uint64_t, std::unique_ptr<capnp::MallocMessageBuilder>> replies_;
  size_t unsent_ = 0;
};

}  // namespace splicehost::remote
