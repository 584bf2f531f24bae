@0xb3c6f2a17de94058;

# The protocols around the broker, which lets compile requests share interpreters that have loaded libraries already.
# One is between its clients (front ends and iservctl) and the broker. The other is between the broker and zygotes,
# interpreter processes that have run nothing.
#
# Transport: Unix sockets that keep message boundaries (SOCK_SEQPACKET). Each packet is one message,
# framed as protocol/packet_socket.h says, and may carry file descriptors. Both sides check that the other
# runs as the same user.
#
# docs/protocol.md has a worked exchange.

using Cxx = import "/capnp/c++.capnp";
using Interpreter = import "interpreter.capnp";
$Cxx.namespace("splicehost::schema");

const brokerProtocolVersion :UInt32 = 5;
# Raised by every change that is not backward compatible. All sides must have the same.

# --- What is shared ---------------------------------------------------------------------------------

enum LoadKind {
  # The requests whose answer depends on nothing but the files that were loaded before them.
  initLinker @0;
  # No file.
  loadDll @1;
  # A shared object: a path, or a name that the system's linker searches for.
  loadArchive @2;
  # A static archive.
  loadObj @3;
  # An object file.
  resolveObjs @4;
  # No file.
}

struct FileSignature {
  # What the file system says about a file's content. Two files with the same signature are one.
  device @0 :UInt64;
  # As stat() has it.
  inode @1 :UInt64;
  # As stat() has it.
  size @2 :UInt64;
  # Bytes.
  modified @3 :Int64;
  # Nanoseconds since 1970.
  changed @4 :Int64;
  # Nanoseconds since 1970.
  mount @5 :UInt64;
  # The mount that it is on (linker/file_system.h); 0 if signatures prove nothing there.
}

struct LoadOperation {
  # A request of one of these kinds.
  kind @0 :LoadKind;
  # Which.
  file @1 :Data;
  # The path, absolute, as the kernel takes it; or for loadDll a name without a slash. Empty if the
  # kind has no file.
  relative @2 :UInt32;
  # For loadDll, if the compiler has given a relative path: where that begins in `file`, behind the working directory
  # and a slash. Otherwise 0. Code in a shared object can see by which path it was loaded.
}

struct Trie {
  # The load operations that zygotes of one InterpreterKey have done. Every one of them succeeded, so
  # its kind says its answer: done for initLinker, loadArchive and loadObj, nothing for loadDll, true
  # for resolveObjs.
  nodes @0 :List(Node);
  # The first is the root, which stands for an interpreter that has just started.
  struct Node {
    id @0 :UInt64;
    # Names the node in Attach and Report, as long as the broker lives.
    operation @1 :LoadOperation;
    # What leads from the parent to this node; of the root, nothing.
    sha256 @2 :Data;
    # The content of the operation's file: 32 bytes; or empty if it has none that has a path.
    signatures @3 :List(FileSignature);
    # Files that are known to have this content. A signature is listed only if no later change of the file
    # can have the same (linker/content_identity.h).
    children @4 :List(UInt32);
    # Positions in `nodes`.
    bound @5 :Bool;
    # The operation stands for this path only: a shared object can see its path, and find what it needs, or its
    # data, beside it. Of Haskell packages' own shared objects only those whose dependencies were found so.
  }
}

struct InterpreterKey {
  # All that decides what an interpreter process is before it loads anything.
  program @0 :Data;
  # Absolute path of the interpreter.
  programName @1 :Data;
  # Its argv[0].
  ghcVersion @2 :Text;
  # Such as "9.0.2".
  way @3 :Interpreter.Way;
  # The way.
  buildIdentity @4 :Text;
  # See InterpreterDescription.buildIdentity.
  environment @5 :List(Data);
  # Variables ("NAME=value"), sorted: those that the loader, the C library and the RTS read before a session can be
  # given its own environment. Paths in LD_LIBRARY_PATH, LD_PRELOAD and LD_AUDIT are absolute.
}

# --- Client and broker ------------------------------------------------------------------------------

struct ToBroker {
  union {
    hello @0 :BrokerClientHello;
    # A client's first message. Answer: trie, ready or refused.
    attach @1 :Attach;
    # A front end wants a session. With fds, in this order: the session's end of a stream socket pair; the working
    # directory; standard input, output and error; those of Attach.descriptors. On the socket the session will speak the
    # protocol of interpreter.capnp. Answer: attached or refused. Once per connection.
    identify @2 :Data;
    # A file's path. Answer: identity.
    report @3 :Report;
    # What a front end's session was asked for. No answer.
    status @4 :Void;
    # Answer: status.
    stop @5 :Void;
    # End: stop listening, end all zygotes; sessions go on. Answer: the broker hangs up when it is done.
  }
}

struct FromBroker {
  union {
    ready @0 :Void;
    # Answer to the hello of a client that named no interpreter.
    trie @1 :UInt64;
    # Answer to the hello of a front end: with an fd, memory that holds a Trie as one Cap'n Proto message
    # of this many bytes. It is sealed: nobody can change it.
    refused @2 :Text;
    # Why the hello or the attach cannot be met; empty if users need not be told, or were. The client does without the
    # broker.
    attached @3 :Attached;
    # The attach is met.
    identity @4 :FileIdentity;
    # Answer to identify.
    sessionEnded @5 :SessionEnded;
    # The client's session has ended. Not an answer: comes when it happens.
    status @6 :BrokerStatus;
    # Answer to status.
  }
}

struct BrokerClientHello {
  protocolVersion @0 :UInt32;
  # `brokerProtocolVersion` above.
  processId @1 :UInt32;
  # The client's.
  interpreter @2 :InterpreterKey;
  # What a front end wants to share; null from other clients.
}

struct FileIdentity {
  union {
    unreadable @0 :Text;
    # Why there is none.
    sha256 @1 :Data;
    # 32 bytes.
  }
}

struct Attach {
  node @0 :UInt64;
  # The operations on the way from the root to this node are done in the session.
  files @1 :List(Data);
  # The files of these operations as this client's compiler names them, in order, from the root; empty
  # where an operation has none. The session knows its libraries by these names.
  environment @2 :List(Data);
  # Of the session: "NAME=value" each.
  umask @3 :UInt32;
  # File mode creation mask.
  limits @4 :List(Limit);
  # Resource limits.
  processGroup @5 :Int32;
  # The client's, which the session joins if both have the same terminal; 0 for a process group of its own.
  processors @6 :Data;
  # Those that it may run on: a cpu_set_t, as sched_setaffinity() takes it.
  like @7 :UInt32;
  # If this session is to repeat what the client's last one did: the zygote that that one was a fork of
  # (Attached.zygote). Otherwise 0. The new session is a fork of the same process, as long as it is there.
  view @8 :FileView;
  # What of the file system the session sees otherwise than its zygote does; null if nothing. The working
  # directory's fd is then not used.
  descriptors @9 :List(Int32);
  # Further descriptors of the client, by the numbers that they have there and get in the session.
  niceness @10 :Int32;
  # As getpriority() has it.
  struct Limit {
    resource @0 :Int32;
    # As setrlimit() names it.
    soft @1 :UInt64;
    # All bits set: no limit.
    hard @2 :UInt64;
    # All bits set: no limit.
  }
}

struct FileView {
  # Files of another machine, which a session for a client there sees at the paths that they have there.
  root @0 :Data;
  # Absolute path of a directory, which need not exist here.
  content @1 :Data;
  # The directory that is to be seen there, read-only.
  workingDirectory @2 :Data;
  # Absolute path.
}

struct Attached {
  session @0 :UInt32;
  # Its process id.
  zygote @1 :UInt32;
  # The process id of the zygote that it is a fork of.
}

struct Report {
  node @0 :UInt64;
  # Where the operations begin: the node of the attach.
  operations @1 :List(LoadOperation);
  # Load operations that the session was asked for next, before anything else. Their files are named by
  # absolute paths.
  symbols @2 :List(Text);
  # Symbols that the session was asked for and has found, when it was at the end of these operations.
}

struct SessionEnded {
  status @0 :Int32;
  # Its exit status.
  signal @1 :Int32;
  # The signal that ended it, or 0.
}

struct BrokerStatus {
  processId @0 :UInt32;
  # The broker's.
  started @1 :Int64;
  # When, nanoseconds since 1970.
  directory @2 :Text;
  # Where its socket is.
  zygotes @3 :List(Zygote);
  # Root zygotes first.
  sessions @4 :List(Session);
  # Those that run.
  attaches @5 :UInt64;
  # Sessions so far.
  hits @6 :UInt64;
  # Those of them that were saved something: a zygote had loaded all that was known of what they needed.
  savedNanoseconds @7 :UInt64;
  # What the loading that sessions did not have to do took the zygotes.
  memoryLimit @8 :UInt64;
  # Bytes, for all zygotes together.
  memoryUsed @9 :UInt64;
  # Bytes, the sum of their proportional set sizes.
  unshared @10 :List(Unshared);
  # What each session loads itself, though zygotes could have loaded it.

  struct Zygote {
    processId @0 :UInt32;
    ghcVersion @1 :Text;
    # Of its interpreter.
    way @2 :Interpreter.Way;
    # Of its interpreter.
    files @3 :List(Data);
    # What it has loaded, in order.
    residentBytes @4 :UInt64;
    # Resident set size.
    proportionalBytes @5 :UInt64;
    # Proportional set size.
    sharedBytes @6 :UInt64;
    # Resident memory that it shares with other processes.
    forks @7 :UInt64;
    # Sessions that it was the start of.
    spares @8 :UInt32;
    # Forks that wait for a session.
    lastUsed @9 :Int64;
    # Nanoseconds since 1970.
    symbols @10 :UInt32;
    # How many were looked up ahead of time.
    growing @11 :Bool;
    # Still loading.
  }
  struct Session {
    processId @0 :UInt32;
    # Of the session.
    clientProcessId @1 :UInt32;
    # Of its front end.
    zygoteProcessId @2 :UInt32;
    # It was forked from.
    started @3 :Int64;
    # Nanoseconds since 1970.
    replayed @4 :UInt32;
    # Operations that it had to do itself to get to its node.
  }
  struct Unshared {
    file @0 :Data;
    # The library: of what is loaded, or the last before symbols are resolved. Empty if there was none.
    ghcVersion @1 :Text;
    # Of the interpreter.
    way @2 :Interpreter.Way;
    # Of the interpreter.
    why @3 :Text;
    # What happened when a zygote did it.
  }
}

# --- Broker and zygote ------------------------------------------------------------------------------

struct ToZygote {
  union {
    load @0 :LoadOperation;
    # Do it. Answer: loaded.
    lookUp @1 :List(Text);
    # Look these symbols up, so that forks find them linked. Answer: lookedUp.
    fork @2 :ForkPurpose;
    # With an fd, the child's socket to the broker. Fork; the child waits for messages there, as this
    # process does here. Answer: forked.
    startSession @3 :StartSession;
    # With the fds of ToBroker.attach: become a session. The process hangs up on the broker when it has
    # taken over.
  }
}

enum ForkPurpose {
  # What a child of a zygote is for.
  zygote @0;
  # To load more. It must do nothing else.
  session @1;
  # To become a session and nothing else: it makes ready what every session needs.
}

struct StartSession {
  attach @0 :Attach;
  # The client's.
  replay @1 :List(LoadOperation);
  # To do first, with the client's files, to get from this zygote's node to the client's.
}

struct FromZygote {
  union {
    ready @0 :UInt32;
    # The process's first message, when it can take orders: its process id.
    loaded @1 :Loaded;
    lookedUp @2 :UInt32;
    # How many of the symbols exist.
    forked @3 :UInt32;
    # The child's process id.
    childEnded @4 :ChildEnded;
    # A child of this process has ended. Not an answer: comes when it happens.
    started @5 :Started;
    # In place of ready, from a process that is not a fork.
  }
  effect @6 :SymbolEffect;
  # With lookedUp: not all was looked up, since sessions are not to have what it did; null if all was. The
  # process is of no use any more then.
}

struct SymbolEffect {
  what @0 :Text;
  # In words for a person.
  first @1 :UInt32;
  # The symbols that it came from: where they begin in the order's list. Those after them were not looked up.
  count @2 :UInt32;
  # How many these are.
}

struct Started {
  processId @0 :UInt32;
  # As in ready.
  conditions @1 :Conditions;
  # What it has mapped and read, and looked for, up to here.
}

struct Loaded {
  union {
    failed @0 :Text;
    # The operation failed, or its result is not for sharing, and why. The process is of no use any more.
    done @1 :LoadedFile;
    # It succeeded and others may share the result. With the file as an fd, if the process has mapped it.
  }
}

struct LoadedFile {
  sha256 @0 :Data;
  # Of the operation's file: 32 bytes; or empty if it has none that has a path.
  signature @1 :FileSignature;
  # Of that file, when it was loaded.
  settled @2 :Bool;
  # Whether no later change of the file can have the same signature.
  nanoseconds @3 :UInt64;
  # How long the loading took.
  conditions @4 :Conditions;
  # What came into the process by it besides, and what the loader looked for.
  bound @5 :Bool;
  # As in Trie.Node.
  effect @6 :Text;
  # What the operation did to the process that forks do not have in the same way, in words for a person. Empty if
  # nothing; otherwise the result is not for sharing and the process of no use any more.
}

struct Conditions {
  # As long as all of these hold, doing the same again would have the same result.
  files @0 :List(File);
  # They are as they were: shared objects that were mapped, files that were read, and what the loader found in its
  # search but did not take, or could not.
  directories @1 :List(File);
  # Where the loader searched, or may have searched. Each is absent, or has none of `names` in it but for those in
  # `files` and in `directories`.
  names @2 :List(Data);
  # What it searched for.
  struct File {
    path @0 :Data;
    # As the loader found it.
    signature @1 :FileSignature;
    # Its signature, whatever kind of file it is; all zeros if there is none.
    unsettled @2 :Bool;
    # A later change might have the same signature.
    sha256 @3 :Data;
    # If so, the content of a regular file.
    resolved @4 :Data;
    # Of a mapped file that has several names, the one that the kernel shows. Otherwise empty.
  }
}

struct ChildEnded {
  processId @0 :UInt32;
  # The child's.
  ended @1 :SessionEnded;
  # How.
}
