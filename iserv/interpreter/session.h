// One client's transcript with this interpreter: receives requests, carries them out, replies.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>

#include "bytecode/format.h"
#include "iserv/interpreter/evaluator.h"
#include "iserv/interpreter/foreign_call.h"
#include "iserv/interpreter/hangup_watch.h"
#include "iserv/interpreter/references.h"
#include "iserv/interpreter/rts_linker.h"
#include "iserv/interpreter/rts_version.h"
#include "protocol/connection.h"
#include "protocol/ghc_versions.h"

namespace splicehost {

// What an interpreter is built for: all that depends on the GHC and the way.
struct InterpreterBuild {
  const ghc::Version* version;
  const bytecode::BcoFormat* bcoFormat;
  schema::Way way;
  std::string_view identity;  // see InterpreterDescription.buildIdentity
  std::span<const linker::BootLibrary> bootLibraries;
};

class Session final : public Evaluations {
 public:
  // The build must outlive the session.
  explicit Session(const InterpreterBuild& build) : build_(build), linker_(build.bootLibraries) {}

  // Does the part of connect() that needs no socket.
  void prepareToConnect() { watch_.emplace(); }

  // Takes over a socket to the client, and ends this process as soon as the client hangs up. Once.
  void connect(kj::AutoCloseFd socket);

  // Exchanges hellos, as far as nothing has gone wrong before (`status`). Fails if client and interpreter
  // do not fit; the client has been told.
  Status greet(Status status = Done{});

  // Serves requests, inside evaluateAll(), until the client shuts the session down or a request cannot
  // be carried out, which the client has been told, or the connection breaks.
  std::optional<ghc::Bytes> next() override;

  // After that: answers the shutdown, and says how the session ended.
  Status end();

  // What code is loaded with, also before there is a client.
  linker::RtsLinker& linker() { return linker_; }

 private:
  void evaluated(bool good, ghc::Bytes result) override;
  void request(ghc::Bytes message) override;
  ghc::Bytes answer() override;
  void noteReference(uint64_t reference) override;

  [[noreturn]] void clientIsGone();
  Result<schema::ToInterpreter::Reader> receive();
  Status carryOut(schema::Request::Reader request, schema::Reply::Builder reply);
  Status lookupClosure(const std::string& name, schema::MaybePointer::Builder found);
  Status freeReferences(capnp::List<uint64_t>::Reader references);
  Status createBcos(capnp::List<capnp::Data>::Reader chunks, schema::Reply::Builder reply);
  Status addStaticPointer(schema::SptEntry::Reader entry);
  void makeCostCentres(schema::CostCentres::Reader request, schema::Reply::Builder reply);
  Status describeCostCentreStack(uint64_t stack, schema::Reply::Builder reply);
  Status newBreakArray(int64_t size, schema::Reply::Builder reply);
  Result<rts::BreakFlag*> breakFlag(const RtsLock& lock, uint64_t array, int64_t index);
  Status setBreakpoint(uint64_t array, int64_t index, rts::BreakFlag value, schema::Reply::Builder reply);
  Status breakpointStatus(schema::BreakpointPlace::Reader request, schema::Reply::Builder reply);
  Status send(capnp::MessageBuilder& builder, schema::Reply::Builder reply, Status status);
  Status checkReference(uint64_t reference) const;
  Status checkReferences(schema::Request::Reader request) const;
  void noteReferences(schema::Reply::Reader reply);

  const InterpreterBuild& build_;
  std::optional<Connection> connection_;
  std::optional<HangupWatch> watch_;
  // How it goes: the first failure ends the session.
  Status status_ = Done{};
  // What is being evaluated: Template Haskell code receives further messages, which end the life of the
  // one that asked for it.
  schema::Request::Which evaluating_ = schema::Request::SHUTDOWN;
  ghc::Writer evaluation_;
  linker::RtsLinker linker_;
  References references_;
  bytecode::ForeignCalls foreignCalls_;
  std::unordered_set<uint64_t> breakArrays_;
  // Addresses of cost centre stacks that replies have named.
  std::unordered_set<uint64_t> costCentreStacks_;
};

}  // namespace splicehost
