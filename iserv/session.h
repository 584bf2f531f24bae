// One client's dialogue with this interpreter: receives requests, carries them out, replies.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_set>

#include "bytecode/format.h"
#include "bytecode/foreign_call.h"
#include "iserv/evaluator.h"
#include "iserv/references.h"
#include "linker/rts_linker.h"
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

class Session final : private ThChannel {
 public:
  // Both must outlive the session.
  Session(const InterpreterBuild& build, Connection& connection);

  // Exchanges hellos. Fails if client and interpreter do not fit; the client has been told.
  Status greet();

  // Serves requests until the client shuts the session down. Fails if a request cannot be carried out,
  // which the client has been told, or if the connection breaks.
  Status serve();

 private:
  void request(ghc::Bytes message) override;
  ghc::Bytes answer() override;
  void noteReference(uint64_t reference) override;

  Result<schema::ToInterpreter::Reader> receive();
  Status carryOut(schema::Request::Reader request, schema::Reply::Builder reply);
  Status lookupClosure(const std::string& name, schema::MaybePointer::Builder found);
  Status freeReferences(capnp::List<uint64_t>::Reader references);
  Status createBcos(capnp::List<capnp::Data>::Reader chunks, schema::Reply::Builder reply);
  Status addStaticPointer(schema::SptEntry::Reader entry);
  void makeCostCentres(schema::CostCentres::Reader request, schema::Reply::Builder reply);
  Status describeCostCentreStack(uint64_t stack, schema::Reply::Builder reply);
  Status newBreakArray(int64_t size, schema::Reply::Builder reply);
  Status breakpoint(schema::Breakpoint::Reader request, bool set, schema::Reply::Builder reply);
  Status evaluate(schema::Request::Reader request, schema::Reply::Builder reply);
  Status checkReference(uint64_t reference) const;
  Status checkReferences(schema::Request::Reader request) const;
  void noteReferences(schema::Reply::Reader reply);

  const InterpreterBuild& build_;
  Connection& connection_;
  linker::RtsLinker linker_;
  References references_;
  bytecode::ForeignCalls foreignCalls_;
  Evaluator evaluator_;
  std::unordered_set<uint64_t> breakArrays_;
  // Addresses of cost centre stacks that replies have named.
  std::unordered_set<uint64_t> costCentreStacks_;
};

}  // namespace splicehost
