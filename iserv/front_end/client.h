// Whoever wants something of an interpreter, as a front end sees it: GHC on its pipes, or a front end on another
// machine.
#pragma once

#include <capnp/message.h>

#include <functional>
#include <string>
#include <utility>

#include "protocol/ghc_binary.h"
#include "protocol/interpreter.capnp.h"
#include "protocol/result.h"

namespace splicehost {

class Client {
 public:
  enum class Next { kRequest, kNothing, kGone };

  // What closes fds, with kj's classes, may throw.
  virtual ~Client() noexcept(false) = default;

  // The next request, as a message to an interpreter, if what was taken in has one. kNothing: more must be taken in;
  // kGone: the client is. `size` is the number of bytes that it took. Fails if it is malformed.
  virtual Result<Next> next(schema::ToInterpreter::Builder message, size_t* size) = 0;

  // Takes in what has arrived since, after fd() was readable or patienceMs() was over, or if there is something
  // buffered().
  virtual Status takeIn() = 0;
  virtual int fd() const = 0;
  virtual bool buffered() const { return false; }
  // How long to wait for fd() at the most; -1 for ever.
  virtual int patienceMs() const { return -1; }
  // Whether there is something to take in while the interpreter is busy with something that asks no questions.
  virtual bool takesInAlways() const { return false; }
  virtual bool gone() const = 0;
  // An fd at which poll() says so: POLLHUP, or POLLRDHUP.
  virtual int hangUpFd() const = 0;
  // What is called when takeIn() finds that the client wants what the interpreter runs to be interrupted.
  void whenInterrupting(std::function<void()> call) { interrupting_ = std::move(call); }

  // What was taken in of the answer to a splice's question; empty if there is nothing. Valid until takeIn().
  virtual ghc::Bytes answerToSplice() = 0;
  // That much of it has been passed on.
  virtual void answerTaken(size_t bytes) = 0;

  // Tells the reply to a request of this kind. Replies to requests that are answered without content
  // (RequestKind::reply) may come out of order. `serial` is the number of the request, from 0. False if the client
  // is gone; fails if this is no reply to it.
  virtual Result<bool> reply(uint64_t serial, schema::Request::Which which, schema::Reply::Reader reply) = 0;
  // A splice's question, as it came. False if the client is gone.
  virtual bool ask(ghc::Bytes question) = 0;

  // Says something that its user should know.
  virtual void warn(const std::string& message) = 0;
  // Says why there will be no further replies.
  virtual void complain(const std::string& message) = 0;
  // The interpreter has ended by a signal; the result is this process's exit status.
  virtual int endedBySignal(int signal) = 0;

 protected:
  std::function<void()> interrupting_;
};

}  // namespace splicehost
