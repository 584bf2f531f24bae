// An interpreter that the broker provides (protocol/broker.capnp): at first only the records of it. When something must
// run, it is a session.
//
// Note [Recorded answers]. The answers to load operations depend on nothing but the files. So they are known as long as
// GHC asks for what a zygote has done, in the same order from the start, of files with the content that the zygote
// loaded. Nobody needs an interpreter then. What GHC wants to be put into memory meanwhile is kept here, with addresses
// of the arena. Everything that was answered so is remembered, and can be done again in an interpreter that knows
// nothing of it. Answers that hold addresses of an interpreter's are never given here.
#pragma once

#include <kj/io.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "iserv/base/file_view.h"
#include "iserv/front_end/child.h"
#include "iserv/front_end/interpreter_program.h"
#include "iserv/front_end/placed_data.h"
#include "protocol/broker.capnp.h"
#include "protocol/connection.h"
#include "protocol/packet_socket.h"
#include "protocol/result.h"

namespace splicehost {

class BrokerConnection {
 public:
  // Connects to the broker, which is started if there is none. Fails with the reason if sharing is impossible here. The
  // reason is empty if it was told before, or by the broker's program, or if this process is confined (a seccomp
  // filter, Landlock). `attention` must outlive the result, and is paid in all waits: they fail if it is cancelled.
  static Result<std::unique_ptr<BrokerConnection>> open(const InterpreterProgram& program, Attention& attention);
  ~BrokerConnection();
  BrokerConnection(const BrokerConnection&) = delete;
  BrokerConnection& operator=(const BrokerConnection&) = delete;

  // Answers requests that put bytes into memory, into the arena. For all requests of these kinds, also when
  // there is an interpreter, so that such addresses do not depend on it; replay() must follow then.
  bool answerMemory(schema::Request::Reader request, schema::Reply::Builder reply) {
    return placed_.answer(request, reply);
  }
  // Waits for the broker's records, if they are not there yet. Fails as open(). Must have succeeded before answerLoad()
  // and attach().
  Status awaitRecords();
  // Answers a load operation if it can be without an interpreter. False if it cannot: then there must be one.
  bool answerLoad(schema::Request::Reader request, schema::Reply::Builder reply);

  // Asks for a session in which all load operations that were answered are done. It may have been asked for when the
  // records came to an end. The result is a socket to it, to which one can write at once. Once.
  Result<kj::AutoCloseFd> attach();

  // After that: waits for the session. Fails if the broker does not provide one.
  Status awaitSession();
  // Ends a session that does not answer, which might be stopped.
  void killSession() const;
  // The process that the session is a fork of; 0 if there is no session yet.
  uint32_t zygote() const { return zygote_; }

  // Another session in which the same is done, by a new connection to the broker: a fork of the same process,
  // if the broker still has it.
  Result<kj::AutoCloseFd> attachAgain(const InterpreterProgram& program);

  // What was answered and has to be done, in order; each is a complete ToInterpreter. An interpreter that is not the
  // broker's does `everything`. A session has its loads already, and does what is new since the last time.
  void replay(bool everything, const std::function<void(capnp::MessageBuilder&)>& send);

  // After attach(): notes what the session is asked for, so that the broker can have it ready the next
  // time.
  void noteRequest(schema::Request::Reader request);
  void noteSymbol(const std::string& symbol);
  // Tells the broker. To be called at the end.
  void report();

  // Interrupts the session, if there is one, and all that it has started; unless its terminal does that.
  void interrupt() const;

  // Waits for the broker to say how the session ended; nothing if it does not within this time.
  std::optional<Child::Exit> sessionEnd(uint64_t patienceMs);

 private:
  struct Records;
  // An operation as GHC named it, and as the broker is told.
  struct Operation {
    schema::LoadKind kind;
    std::string file;
    std::string path;
    uint32_t relative = 0;  // as in the schema
  };

  BrokerConnection(PacketSocket broker, std::optional<FileView> view, Attention& attention);
  Status hello(const InterpreterProgram& program);
  Result<std::optional<PacketSocket::Packet>> receive(uint64_t patienceMs);
  std::optional<Operation> operationOf(schema::Request::Reader request) const;
  bool follow(const Operation& operation);
  Status order();
  std::string identify(const std::string& path);
  void fill(schema::Report::Builder report, bool symbols) const;
  void sendReport(bool symbols);

  PacketSocket broker_;
  std::optional<FileView> view_;
  Attention& attention_;
  std::unique_ptr<Records> records_;
  std::string directory_;    // the working directory
  uint32_t node_ = 0;        // where in the trie: an index
  kj::AutoCloseFd ordered_;  // the socket to a session that was asked for ahead of time
  uint32_t zygote_ = 0;
  pid_t session_ = 0;
  bool hasOwnGroup_ = false;           // the session
  std::vector<Operation> operations_;  // answered here
  PlacedData placed_;
  // What the session was asked to load next, until it was asked for something else.
  std::vector<Operation> loaded_;
  std::vector<std::string> symbols_;
  enum class Noting { kLoads, kSymbols, kNothing } noting_ = Noting::kLoads;
};

}  // namespace splicehost
