#include "iserv/remote/reply_reorder_buffer.h"

#include <utility>

#include "protocol/remote.capnp.h"

namespace splicehost::remote {

uint64_t ReplyReorderBuffer::addRequest(bool awaited) {
  uint64_t number = requests_++;
  if (awaited) awaited_.insert(number);
  return number;
}

Result<uint64_t> ReplyReorderBuffer::numberOf(uint64_t serial) const {
  if (serial >= passedOn_.size()) return Error{"a reply to a request that was not made"};
  return passedOn_[serial];
}

void ReplyReorderBuffer::addReply(uint64_t number, schema::Reply::Reader reply) {
  auto message = std::make_unique<capnp::MallocMessageBuilder>(static_cast<uint>(reply.totalSize().wordCount + 16));
  message->initRoot<schema::FromTarget>().initInterpreter().setReply(reply);
  replies_.emplace(number, std::move(message));
}

std::optional<ReplyReorderBuffer::Due> ReplyReorderBuffer::next() {
  auto first = replies_.begin();
  if (first == replies_.end() || first->first != due_) return std::nullopt;
  Due due{std::move(first->second), awaited_.erase(due_) > 0};
  replies_.erase(first);
  ++due_;
  ++unsent_;
  due.flush = due.awaited || unsent_ >= kMaxUnsent;
  if (due.flush) unsent_ = 0;
  return due;
}

}  // namespace splicehost::remote
