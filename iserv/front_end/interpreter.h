// An interpreter as its front end sees it. It is a child of this process (child_interpreter.h), a share of the broker's
// (shared_interpreter.h), or one on another machine (iserv/remote/remote_interpreter.h). Whatever is recorded,
// replayed, repeated or sent ahead is the implementation's; the front end relays.
#pragma once

#include <capnp/message.h>

#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "iserv/front_end/child.h"
#include "iserv/front_end/client.h"
#include "protocol/attention.h"
#include "protocol/interpreter.capnp.h"
#include "protocol/result.h"

namespace splicehost {

// Who has an interpreter. All of it outlives the interpreter.
struct InterpreterUser {
  Client& client;
  // Paid in all waits: they fail if it is cancelled.
  Attention& attention;
  // Waits until the interpreter's receive() is worth calling, and looks after the client meanwhile. Fails if that is
  // gone. Only while a request is carried out.
  std::function<Status()> wait;
};

class Interpreter {
 public:
  // A request that was sent and has no reply yet.
  struct Pending {
    schema::Request::Which which;
    std::string subject;  // for an error message
    uint64_t serial = 0;  // its number among the client's
    // The client has its answer already, or has not asked: the reply only says whether that was right.
    bool answered = false;
  };
  // Whether a request is answered before the interpreter has carried it out.
  enum class Answer {
    kNone,   // it is to be sent, and the reply is the answer
    kAhead,  // it is to be sent, and this is the answer if it succeeds
    kWhole   // this is the answer, and it need not be sent
  };
  // Why an interpreter is to end.
  enum class Ending { kToldTo, kUnused, kFailed };

  // What closes fds, with kj's classes, may throw.
  virtual ~Interpreter() noexcept(false) = default;

  // To be asked for each of the client's requests, in order: fills in `reply` if it can be answered. Fails if it needs
  // an interpreter and there is none to be had.
  virtual Result<Answer> answer(schema::Request::Reader request, schema::Reply::Builder reply) = 0;

  // Sends a request. Fails if the interpreter has hung up; receive() says why. `awaited` says whether the reply will be
  // waited for. One that is not may come as late as the next one that is.
  Status send(capnp::MessageBuilder& message, Pending request, bool awaited);
  // Sends the compiler's answer to a question of the splice that runs.
  virtual Status sendAnswer(capnp::MessageBuilder& message) = 0;
  // Sends what was kept back of what is not awaited.
  virtual void flush() {}
  virtual bool hasUnsent() const { return false; }

  // What the interpreter says next: a question of a splice, or the reply to the first of pending(), for which done() is
  // to be called then. Nothing if there is nothing for the client yet: ask again after a wait. Valid until the next
  // call.
  Result<std::optional<schema::FromInterpreter::Reader>> receive();
  void done() { pending_.pop_front(); }
  // Requests in the order in which they were sent; the interpreter is busy with the first one.
  const std::deque<Pending>& pending() const { return pending_; }
  // How many may be pending, so that neither side can block on a full socket.
  virtual size_t mostPending() const = 0;

  // Whether receive() should be called after fd() was readable; that it was may have other reasons. False if there is
  // no interpreter.
  virtual Result<bool> ready() { return true; }
  // receive() or ready() should be called without waiting for fd().
  virtual bool buffered() const = 0;
  // Negative if there is no interpreter.
  virtual int fd() const = 0;
  // How long to wait for fd() at the most before ready() is called; -1 for ever.
  virtual int patienceMs() const { return -1; }

  // Has what it runs interrupted, if nobody else does. May be called in a wait of its own.
  virtual void interrupt() {}
  // What to add to why a shared object could not be loaded.
  virtual std::string hintOnMissing(const std::string& /*subject*/) const { return ""; }

  // Has it end, and waits for that where somebody cares: how it ended, or nothing if nobody knows. `attention` is paid
  // while its exit handlers run. To be called last.
  virtual std::optional<Child::Exit> end(Ending why, Attention& attention) = 0;
  // Whether it has hung up without being told to end.
  bool isGone() const { return isGone_; }

 protected:
  virtual Status put(capnp::MessageBuilder& message, bool awaited) = 0;
  // As receive(), of whatever it says.
  virtual Result<std::optional<schema::FromInterpreter::Reader>> take() = 0;
  virtual bool isStarting() const { return false; }
  // It has hung up: what it was doing.
  Error gone();

  std::deque<Pending> pending_;
  bool isGone_ = false;
};

// Answers a request whose answer is known before there is any interpreter that is linked with these system libraries
// ("libgmp.so"). False if it is no such request.
bool answerWithoutInterpreter(schema::Request::Reader request, const std::set<std::string>& libraries,
                              schema::Reply::Builder reply);

}  // namespace splicehost
