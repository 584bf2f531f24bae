@0xd0c1f3ab5e9a7b44;

# The protocol between a client (the front end that GHC starts, or any other program that wants
# Haskell evaluated) and an interpreter process.
#
# Transport: one byte stream in each direction (a Unix socket in local use). Each message is one
# Cap'n Proto message in the standard stream framing (segment table, then segments). A client sends
# ToInterpreter, the interpreter sends FromInterpreter. The first message each way is `hello`; after
# that it is a transcript: the client sends a `request`, the interpreter answers with a `reply`.
# While a `runTh` or `runModFinalizers` request is being answered the interpreter may send any number
# of `thRequest`, each answered by the client with one or more `thAnswer`.
#
# Hanging up ends an interpreter at once, whatever it is running. A reply of kind `failed` is the
# last message of its interpreter.
#
# docs/protocol.md has a worked session.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("splicehost::schema");

const protocolVersion :UInt32 = 3;
# Raised by every change that is not backward compatible. Client and interpreter must have the same.

const arenaAddress :UInt64 = 0x2000000000;
# Where each interpreter reserves addresses for its client, who uses them by `placeData`. A client can
# so give out an address before it has an interpreter.
const arenaSize :UInt64 = 0x40000000;
# Bytes.

# Annotations. GHC's own encoding of a message follows from its schema (protocol/ghc_codec.h): a struct is its fields in
# order, a union the number of its member and the member. What the schema does not say otherwise is said by these, and
# everything that handles messages in general asks for them (protocol/message_layout.h).

annotation reply @0xb4d2f0c3a1e85d17 (field) :Text;
# Of a request: the member of Reply that answers it.
annotation constructor @0xc2f81d4e6b9a0735 (field) :Text;
# Of a request: GHC's constructor of the message, if its name is another one, upper and lower case aside.
annotation value @0x9f6f1be0d7c24a35 (field) :Text;
# Of a request whose answer's type depends on it: the member, one of the `alternative` ones, that a success holds.
annotation alternative @0xe2c8a6b95f13d078 (field) :Void;
# Of a union's members: all that have it are one constructor of GHC's.
annotation evaluated @0xd5a7c41b08f3962e (field) :Void;
# Of a request: needs Haskell code to be run, by the interpreter's evaluating thread. Every `reference` in
# its reply is new.
annotation statement @0xa81e3d5c7f9b2064 (field) :Void;
# Of a request: what a user at GHCi's prompt has run, and would notice being run twice.
annotation asks @0xc3907be26a4d81f5 (field) :Void;
# Of a request: the code that it runs may ask the compiler questions.
annotation reference @0x8ec5d90a3b7f1642 (field) :Void;
# A number, or list of numbers, that names values of the interpreter's heap.
annotation subject @0xf0b13a6de84c7925 (field) :Void;
# A text by which a request is known to a person.
annotation optional @0x97d42c8f5be016a3 (field) :Void;
# A `Maybe` of GHC's; null is `Nothing`.
annotation haskell @0xbb60e7194ad3c58f (struct, enum, field) :Text;
# GHC's name of the type, if it is another one.

# Conventions.
#
# Haskell strings are Text in UTF-8, but for one liberty: a Haskell `Char` may be a surrogate. It is encoded in three
# bytes like any other character of that range. GHC decodes a file name's byte that its locale cannot decode to U+DC80 +
# (byte - 0x80). Whoever opens such a file undoes that. Text may contain NUL characters: use its length, not its
# terminator.
#
# A remote reference (RemoteRef in GHC) is a number by which the client names a value in the
# interpreter's heap. The interpreter gives it out, keeps the value alive, and forgets it in
# `freeReferences`. A reference that the interpreter has not given out, or has freed, is an error.
#
# A remote pointer (RemotePtr in GHC) is an address in the interpreter's process, outside of the Haskell heap: of a
# symbol, malloc'd memory, an info table. Zero is no pointer.

struct ToInterpreter {
  union {
    hello @0 :ClientHello;
    # First message of the client.
    request @1 :Request;
    # Something to do. Requests are carried out and answered in order. A client need not wait for an answer before it
    # sends the next one, but must read answers before a socket's buffer is full of them.
    thAnswer @2 :Data;
    # A piece of GHC's answer to the last `thRequest`: bytes of a Haskell `binary` encoding, in order
    # and cut anywhere. A client need not understand them; the interpreter knows where they end. Bytes
    # past that end are an error.
  }
}

struct FromInterpreter {
  union {
    hello @0 :InterpreterHello;
    # Answer to the client's hello, and the sign that the interpreter is ready.
    reply @1 :Reply;
    # Answer to the last request.
    thRequest @2 :Data;
    # A question that running Template Haskell code has for the compiler: GHC's own encoding of a
    # THMessage, complete. Its first byte is the message's tag. `RunTHDone` is never sent this way:
    # the reply says that the splice is done.
  }
}

struct ClientHello {
  protocolVersion @0 :UInt32;
  # `protocolVersion` above.
  ghcVersion @1 :Text;
  # The version of the compiler that sends the bytecode, such as "9.0.2". Bytecode and object code
  # are for exactly one version.
  buildIdentity @2 :Text;
  # The interpreter build that the client expects, as its manifest names it; empty for any. An
  # interpreter of another build refuses.
  way @3 :Way;
  # The RTS way that the client's code is compiled for.
  ignoredSignals @4 :UInt64;
  # Bit n-1: signal n is ignored from the start (as under nohup), as far as the RTS does not handle it.
  blockedSignals @5 :UInt64;
  # Bit n-1: signal n is blocked from the start.
}

struct InterpreterHello {
  union {
    accepted @0 :InterpreterDescription;
    # The interpreter is ready for requests.
    refused @1 :Text;
    # Why client and interpreter do not fit, with both sides' values. The interpreter ends.
  }
}

struct InterpreterDescription {
  protocolVersion @0 :UInt32;
  # `protocolVersion` above.
  ghcVersion @1 :Text;
  # The GHC whose RTS this is, such as "9.0.2".
  way @2 :Way;
  # The RTS way of the interpreter.
  buildIdentity @3 :Text;
  # Identifies the interpreter's build: SHA-256 of what went into it, in hexadecimal.
  processId @4 :UInt32;
  # The interpreter's process id in its own pid namespace.
  wordBits @5 :UInt8;
  # Bits of a machine word: 64.
  bigEndian @6 :Bool;
  # True if words have their most significant byte first.
}

enum Way {
  # How the RTS and all code that it runs are built.
  vanilla @0;
  # Statically linked, no profiling.
  profiled @1;
  # Statically linked, with cost centres (ghc -prof).
  dynamic @2;
  # Shared objects (ghc -dynamic).
}

struct Request {
  # One of the things that GHC asks of an interpreter. Each field is named after the constructor of
  # GHC's `Message` (libraries/ghci/GHCi/Message.hs) and says which kind of reply answers it. No GHC has
  # all of them: protocol/ghc_versions.h has the tables.

  union {
    shutdown @0 :Void $reply("done");
    # Flush what interpreted code has printed and end. Reply: done, then the interpreter hangs up.

    rtsRevertCafs @1 :Void $reply("done");
    # Forget the values of all top-level thunks that were evaluated. Reply: done.

    initLinker @2 :Void $reply("done");
    # Prepare for loading code. Harmless if repeated. Reply: done.

    lookupSymbol @3 :Text $reply("maybePointer") $subject;
    # The address of a symbol (without the platform's leading underscore, if it has one).
    # Reply: maybePointer.

    lookupClosure @4 :Text $reply("maybePointer") $subject;
    # A reference to the closure with this symbol name. Reply: maybePointer, holding a reference.

    loadDll @5 :Text $reply("loadedDll") $subject;
    # Load a shared object: an absolute path, or a name that the system's linker searches for.
    # Reply: loadedDll.

    loadArchive @6 :Text $reply("done") $subject;
    # Load a static archive from an absolute path; its members are linked when something refers to
    # them. Reply: done, or failed.

    loadObj @7 :Text $reply("done") $subject;
    # Load an object file from an absolute path. Reply: done, or failed.

    unloadObj @8 :Text $reply("done") $subject;
    # Unload an object file or archive that was loaded from this path. Reply: done, or failed.

    addLibrarySearchPath @9 :Text $reply("pointer");
    # Add a directory to those that `loadDll` searches. Reply: pointer, naming the entry. (Without
    # effect but on Windows.)

    removeLibrarySearchPath @10 :UInt64 $reply("bool");
    # Remove an entry that `addLibrarySearchPath` named. Reply: bool, whether it was there.

    resolveObjs @11 :Void $reply("bool");
    # Link all that was loaded. Reply: bool; false if a symbol is missing, which the interpreter has
    # reported on its stderr.

    findSystemLibrary @12 :Text $reply("maybeText");
    # The path of a system library by name. Reply: maybeText. (Nothing but on Windows.)

    createBcos @13 :List(Data) $reply("pointers");
    # Allocate byte code objects. Each element is GHC's own `binary` encoding of a [ResolvedBCO]; all
    # elements together are one set, in which BCOs refer to each other by position.
    # Reply: pointers, one reference for each BCO of the set.

    freeReferences @14 :List(UInt64) $reply("done") $reference $constructor("FreeHValueRefs");
    # Release references. Reply: done.

    addSptEntry @15 :SptEntry $reply("done");
    # Add an entry to the static pointer table. Reply: done.

    mallocData @16 :Data $reply("pointer");
    # Copy bytes to malloc'd memory, for good. Reply: pointer.

    mallocStrings @17 :List(Data) $reply("pointers");
    # Copy NUL-terminated strings to malloc'd memory, for good. Reply: pointers.

    prepFfi @18 :ForeignCall $reply("pointer");
    # Prepare a foreign call of this type. Reply: pointer, to libffi's ffi_cif.

    freeFfi @19 :UInt64 $reply("done");
    # Free what `prepFfi` made. Reply: done.

    mkConInfoTable @20 :ConstructorInfo $reply("pointer");
    # Make an info table for a data constructor. Reply: pointer, to the info table as a closure's
    # header holds it.

    evalStmt @21 :Statement $reply("evalStatus") $value("references") $evaluated $statement;
    # Run an expression of type IO [a]. Reply: evalStatus; the value is one reference per element.

    resumeStmt @22 :Resume $reply("evalStatus") $value("references") $evaluated $statement;
    # Continue a statement that stopped at a breakpoint. Reply: evalStatus, as for evalStmt.

    abandonStmt @23 :UInt64 $reply("done") $evaluated $reference;
    # Give up a statement that stopped at a breakpoint; names its resume context. Reply: done.

    evalString @24 :UInt64 $reply("evalString") $value("text") $evaluated $statement $reference;
    # Run a reference of type IO String. Reply: evalString.

    evalStringToString @25 :StringFunction $reply("evalString") $value("text") $evaluated $statement;
    # Run a reference of type String -> IO String. Reply: evalString.

    evalIo @26 :UInt64 $reply("evalUnit") $value("none") $evaluated $statement $reference;
    # Run a reference of type IO a, for its effect. Reply: evalUnit.

    mkCostCentres @27 :CostCentres $reply("pointers");
    # Make cost centres of one module. Reply: pointers, one for each; none if the interpreter does not
    # profile.

    costCentreStackInfo @28 :UInt64 $reply("texts");
    # Describe a cost centre stack. Reply: texts, outermost call first.

    newBreakArray @29 :Int64 $reply("pointer");
    # Allocate what says for each of this many breakpoints whether it is on; all are off.
    # Reply: pointer, holding a reference.

    enableBreakpoint @30 :Breakpoint $reply("done");
    # Switch a breakpoint on or off; an index out of range is ignored. Reply: done. (GHC 9.0.)

    breakpointStatus @31 :BreakpointPlace $reply("bool");
    # Whether a breakpoint is on. Reply: bool; false if out of range.

    getBreakpointVar @32 :BreakpointVariable $reply("maybePointer") $evaluated;
    # A variable of a stopped computation. Reply: maybePointer, holding a reference.

    startTh @33 :Void $reply("pointer") $evaluated;
    # Begin the Template Haskell state of a module. Reply: pointer, holding a reference.

    runTh @34 :Splice $reply("qResult") $value("done") $evaluated $asks;
    # Run a splice, quasi-quote or annotation. Reply: qResult; the value is the result's `binary`
    # encoding.

    runModFinalizers @35 :ModFinalizers $reply("qResult") $value("none") $evaluated $asks;
    # Run a module's finalizers. Reply: qResult, without a result.

    getClosure @36 :UInt64 $reply("closure") $evaluated $reference;
    # Look at a closure without evaluating it. Reply: closure.

    seq @37 :UInt64 $reply("evalStatus") $value("none") $evaluated $statement $reference;
    # Evaluate a reference to weak head normal form. Reply: evalStatus; the value is empty.

    resumeSeq @38 :UInt64 $reply("evalStatus") $value("none") $evaluated $statement $reference;
    # Continue a `seq` that stopped at a breakpoint. Reply: evalStatus, as for seq.

    placeData @39 :PlacedData $reply("done");
    # Put bytes at an address that the client has chosen, for good. Not a message of GHC's. Reply: done.

    setupBreakpoint @40 :BreakpointSetup $reply("done");
    # Say how often a breakpoint is passed before it stops; an index out of range is ignored.
    # Reply: done. (Since GHC 9.2.)

    newBreakModule @41 :Text $reply("pointer");
    # Copy a module's name to malloc'd memory, for good; byte code names it by its address.
    # Reply: pointer. (GHC 9.10.3, not 9.6.6.)

    lookupSymbolInDll @42 :DllSymbol $reply("maybePointer");
    # The address of a symbol in a shared object, as far as this one or what it depends on defines it.
    # Reply: maybePointer. (GHC 9.10.3, not 9.6.6.)
  }
}

struct PlacedData {
  address @0 :UInt64;
  # Within the arena (`arenaAddress`, `arenaSize`).
  data @1 :Data;
  # The bytes.
}

struct SptEntry {
  fingerprintHigh @0 :UInt64;
  # First half of the key's MD5 fingerprint.
  fingerprintLow @1 :UInt64;
  # Second half.
  reference @2 :UInt64 $reference;
  # The value.
}

enum ForeignType $haskell("FFIType") {
  # Argument and result types of a foreign call, in the order of GHC's FFIType.
  void @0;
  pointer @1;
  float @2;
  double @3;
  sint8 @4;
  sint16 @5;
  sint32 @6;
  sint64 @7;
  uint8 @8;
  uint16 @9;
  uint32 @10;
  uint64 @11;
}

struct ForeignCall {
  stdCall @0 :Bool $haskell("FFIConv");
  # The stdcall convention, where the platform has one; otherwise ccall.
  arguments @1 :List(ForeignType);
  # Types of the arguments.
  result @2 :ForeignType;
  # Type of the result.
}

struct ConstructorInfo {
  tablesNextToCode @0 :Bool;
  # Whether info tables lie before their entry code; must be as the interpreter is built.
  pointerWords @1 :Int64;
  # Number of fields that are pointers.
  nonPointerWords @2 :Int64;
  # Number of words of the other fields.
  constructorTag @3 :Int64;
  # Zero-based number of the constructor in its type.
  pointerTag @4 :Int64;
  # Tag bits of a pointer to such a constructor: 1 to 7.
  description @5 :Data;
  # "unit:Module.Constructor", without a terminator.
}

struct EvalOptions {
  sandboxThread @0 :Bool;
  # Run in a new thread, so that breakpoints and interrupts work (GHCi's -fghci-sandbox).
  singleStep @1 :Bool;
  # Stop at the next breakpoint location, enabled or not.
  breakOnException @2 :Bool;
  # Stop when any exception is raised.
  breakOnError @3 :Bool;
  # Stop when an exception reaches the top.
}

struct EvalExpression $haskell("EvalExpr") {
  # An application of references to each other.
  union {
    this @0 :UInt64 $reference;
    # A reference.
    apply @1 :Application;
    # One expression applied to another.
  }
  struct Application {
    function @0 :EvalExpression;
    # What is applied.
    argument @1 :EvalExpression;
    # What to.
  }
}

struct Statement {
  options @0 :EvalOptions;
  # How to run.
  expression @1 :EvalExpression;
  # What to run.
}

struct Resume {
  options @0 :EvalOptions;
  # How to go on.
  context @1 :UInt64 $reference;
  # The resume context that `breakpoint` of the last EvalStatus holds.
}

struct StringFunction {
  function @0 :UInt64 $reference;
  # A reference of type String -> IO String.
  argument @1 :Text;
  # Its argument.
}

struct CostCentres {
  module @0 :Text;
  # The module's name.
  centres @1 :List(CostCentre);
  # Its cost centres.
  struct CostCentre {
    name @0 :Text;
    # The declaration's path.
    sourceSpan @1 :Text;
    # Where it is.
  }
}

struct Breakpoint {
  array @0 :UInt64 $reference;
  # Reference to the flags, from newBreakArray.
  index @1 :Int64;
  # Which flag.
  enable @2 :Bool;
  # On or off.
}

struct BreakpointPlace {
  array @0 :UInt64 $reference;
  # Reference to the flags, from newBreakArray.
  index @1 :Int64;
  # Which flag.
}

struct BreakpointSetup {
  array @0 :UInt64 $reference;
  # Reference to the counts, from newBreakArray.
  index @1 :Int64;
  # Which count.
  ignoreCount @2 :Int64;
  # How often the breakpoint is passed before it stops; -1 switches it off.
}

struct DllSymbol {
  handle @0 :UInt64;
  # The shared object, as loadedDll names it.
  symbol @1 :Text $subject;
  # The symbol's name.
}

struct BreakpointVariable {
  stack @0 :UInt64 $reference;
  # Reference to the stopped computation, from EvalStatus.
  depth @1 :Int64;
  # Which of its stack slots.
}

enum SpliceKind $haskell("THResultType") {
  # What a splice makes, in the order of GHC's THResultType.
  expression @0;
  pattern @1;
  type @2;
  declarations @3;
  annotation @4;
}

struct Location {
  # Where a splice is, as Template Haskell's `location` tells it.
  file @0 :Text;
  # Source file.
  package @1 :Text;
  # Unit of the module.
  module @2 :Text;
  # Module name.
  startLine @3 :Int64;
  # First line, from 1.
  startColumn @4 :Int64;
  # First column, from 1.
  endLine @5 :Int64;
  # Last line.
  endColumn @6 :Int64;
  # Column after the last.
}

struct Splice {
  state @0 :UInt64 $reference;
  # The module's Template Haskell state, from startTh.
  code @1 :UInt64 $reference;
  # Reference to the splice, of type Q Exp and so on.
  kind @2 :SpliceKind;
  # What it makes.
  location @3 :Location $optional;
  # Where it is; null if the compiler does not say.
}

struct ModFinalizers {
  state @0 :UInt64 $reference;
  # The module's Template Haskell state.
  finalizers @1 :List(UInt64) $reference;
  # References of type Q ().
}

struct Reply {
  union {
    done @0 :Void;
    # It is done; there is no value.
    bool @1 :Bool;
    # A truth value.
    pointer @2 :UInt64 $reference;
    # A remote pointer or a reference.
    maybePointer @3 :MaybePointer;
    # A remote pointer or a reference, if there is one.
    pointers @4 :List(UInt64);
    # Remote pointers or references.
    maybeText @5 :MaybeText;
    # A string, if there is one.
    texts @6 :List(Text);
    # Strings.
    evalStatus @7 :EvalStatus;
    # How an evaluation that can stop at breakpoints ended.
    evalUnit @8 :EvalResult;
    # How an evaluation without a value ended.
    evalString @9 :EvalResult;
    # How an evaluation of a string ended.
    qResult @10 :QResult;
    # How Template Haskell code ended.
    closure @11 :Data;
    # GHC's own `binary` encoding of a `GenClosure HValueRef` (libraries/ghc-heap).
    failed @12 :Text;
    # The request could not be carried out, and why, with the place (file, symbol, BCO). The
    # interpreter ends.
    loadedDll @13 :LoadedDll;
    # What came of loading a shared object.
  }
}

struct MaybePointer $haskell("Maybe") {
  union {
    nothing @0 :Void;
    # There is none.
    pointer @1 :UInt64 $reference;
    # The remote pointer or reference.
  }
}

struct MaybeText $haskell("Maybe") {
  union {
    nothing @0 :Void;
    # There is none.
    text @1 :Text;
    # The string.
  }
}

struct LoadedDll {
  union {
    failed @0 :Text;
    # The system linker's message.
    handle @1 :UInt64;
    # It is loaded, and this is what lookupSymbolInDll calls it. It depends on nothing but the name that
    # it was loaded by: every interpreter gives the same one. GHCs without lookupSymbolInDll do not get to see it.
  }
}

struct EvalException $haskell("SerializableException") {
  union {
    userInterrupt @0 :Void;
    # Interrupted from the keyboard.
    exit @1 :ExitCode;
    # The code asked to exit.
    other @2 :Text;
    # Any other exception, shown.
  }
}

struct ExitCode {
  union {
    success @0 :Void;
    # 0.
    failure @1 :Int64;
    # Any other.
  }
}

struct EvalResult {
  union {
    exception @0 :EvalException;
    # It ended with an exception.
    references @1 :List(UInt64) $reference $alternative;
    # It ended with these values.
    text @2 :Text $alternative;
    # It ended with this string.
    none @3 :Void $alternative;
    # It ended, without a value.
  }
}

struct EvalStatus {
  union {
    complete @0 :Complete;
    # It ended.
    break @1 :Break;
    # It stopped at a breakpoint.
  }
  struct Complete {
    allocatedBytes @0 :UInt64;
    # What it allocated.
    result @1 :EvalResult;
    # How it ended.
  }
  struct Break {
    isException @0 :Bool;
    # Stopped because of an exception, not at a breakpoint.
    stack @1 :UInt64 $reference;
    # Reference to the stopped computation (or the exception).
    index @2 :Int64;
    # Which breakpoint of the module. Of an exception there is none, and the following four do not count.
    moduleUnique @3 :Int64;
    # GHC's unique of the module's name. (Up to GHC 9.6.6.)
    resumeContext @4 :UInt64 $reference;
    # Reference for resumeStmt, abandonStmt or resumeSeq.
    costCentreStack @5 :UInt64;
    # Remote pointer to the cost centre stack; zero without profiling.
    module @6 :Text;
    # The module whose breakpoint it is. (GHC 9.10.3.)
    infoModule @7 :Text;
    # The module whose byte code has stopped: another one if it is inlined there. (GHC 9.10.3.)
    infoIndex @8 :Int64;
    # Which of the places of that module's byte code. (GHC 9.10.3.)
  }
}

struct QResult {
  union {
    done @0 :Data $alternative;
    # The result's `binary` encoding.
    exception @1 :Text;
    # It ended with an exception, shown.
    fail @2 :Text;
    # It called `fail`.
    none @3 :Void $alternative;
    # It is done, and there is no result.
  }
}
