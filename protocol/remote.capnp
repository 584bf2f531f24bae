@0xe1f70b6a4c28d593;

# The protocol between a front end and an interpreter on another machine, the target: that of
# interpreter.capnp, with files by content.
#
# Transport: one byte stream in each direction, framed and compressed as iserv/remote/channel.h says. A
# front end sends ToTarget, the target FromTarget. The first message each way is `hello`. The front end may send
# requests before it has the target's hello.
#
# docs/protocol.md has a worked session.

using Cxx = import "/capnp/c++.capnp";
using Interpreter = import "interpreter.capnp";
$Cxx.namespace("splicehost::schema");

const remoteProtocolVersion :UInt32 = 1;
# Raised by every change that is not backward compatible. Both sides must have the same.

const contentPartSize :UInt32 = 262144;
# Bytes; the most in one ContentPart.

struct ToTarget {
  union {
    hello @0 :FrontEndHello;
    # The front end's first message.
    interpreter @1 :Interpreter.ToInterpreter;
    # As to an interpreter, but no hello. A request that names a file does so by its name on the front end's
    # machine; `content` says what is in it.
    part @2 :ContentPart;
    # Of content that the target wants.
    interrupt @4 :Void;
    # The user has pressed ^C.
    alive @5 :Void;
    # Nothing; the front end is there.
    unreadable @6 :Unreadable;
    # Content that the target wants cannot be had any more.
  }
  content @3 :Content;
  # Of the file of an `interpreter` request; null if it has none, or if the target is to find it: a system
  # library.
  awaited @7 :Bool;
  # Whether the front end waits for the reply to this request. The target may keep back the other replies until one
  # is awaited, unless they say that something failed.
}

struct FromTarget {
  union {
    hello @0 :TargetHello;
    # Answer to the front end's hello.
    interpreter @1 :Interpreter.FromInterpreter;
    # As from an interpreter, but no hello. Replies come in the order of the requests.
    wanted @2 :List(Wanted);
    # Content that the target lacks. Each is wanted once.
    output @3 :Output;
    # What interpreted code has printed. Comes before the reply to the request that ran it.
    ended @4 :Ended;
    # The last message: there is no interpreter any more.
    alive @5 :Void;
    # Nothing; the target is there.
  }
}

struct FrontEndHello {
  protocolVersion @0 :UInt32;
  # `remoteProtocolVersion` above.
  token @1 :Data;
  # What the target's listener demands; empty if there is none.
  code @2 :CodeDescription;
  # What the compiler's code is made for. All of it must be as the target has it, but for an empty build.
  variables @3 :List(Data);
  # Of the environment ("NAME=value"): what interpreted code should see on the target, too.
  directory @4 :Data;
  # The working directory: an absolute path.
  files @5 :ProjectFiles;
  # Null if no files are to be seen.
  umask @6 :UInt32;
  # File mode creation mask.
  rtsOptions @7 :List(Text);
  # With +RTS, or empty. With any the interpreter is not shared.
}

struct CodeDescription {
  ghcVersion @0 :Text;
  # Such as "9.0.2".
  way @1 :Interpreter.Way;
  # The RTS way.
  wordBits @2 :UInt8;
  # Bits of a machine word.
  bigEndian @3 :Bool;
  # True if words have their most significant byte first.
  architecture @4 :Text;
  # As the Linux kernel calls it: "x86_64", "aarch64".
  buildIdentity @5 :Text;
  # As in InterpreterDescription.
  interpreterProtocol @6 :UInt32;
  # protocolVersion in interpreter.capnp.
}

struct TargetHello {
  union {
    accepted @0 :CodeDescription;
    # The target is ready for requests.
    refused @1 :Text;
    # Why not, with both sides' values. The target hangs up.
  }
}

struct Content {
  sha256 @0 :Data;
  # 32 bytes.
  size @1 :UInt64;
  # Bytes.
  name @2 :Data;
  # The file's name without its directory: what the target calls its copy.
}

struct Wanted {
  sha256 @0 :Data;
  # Which content.
  offset @1 :UInt64;
  # From where on: the target has what is before, of a transfer that was interrupted.
}

struct ContentPart {
  sha256 @0 :Data;
  # Which content.
  data @1 :Data;
  # The next bytes of it: parts come in order, and begin where the target wanted them.
  last @2 :Bool;
  # Whether that is the end of it.
}

struct Unreadable {
  sha256 @0 :Data;
  # Which content.
  reason @1 :Text;
  # Why: a file that has changed or gone.
}

struct ProjectFiles {
  root @0 :Data;
  # Absolute path, at which interpreted code sees the files, too.
  tree @1 :Content;
  # A Directory, as one Cap'n Proto message in the standard framing.
}

struct Directory {
  # What is in a directory. Travels as content.
  entries @0 :List(Entry);
  # Sorted by name, bytewise.
  struct Entry {
    name @0 :Data;
    # Without a slash; neither "." nor "..".
    union {
      directory @1 :Content;
      # A Directory.
      file @2 :Content;
      # A regular file. The content's name is empty. On the target everybody may read and execute it, and nobody
      # may write to it.
      link @3 :Data;
      # A symbolic link, and where it leads.
    }
  }
}

struct Output {
  stream @0 :UInt8;
  # 1: standard output. 2: standard error.
  data @1 :Data;
  # What was printed.
}

struct Ended {
  status @0 :Int32;
  # 0 if everything that was asked for was done.
  signal @1 :Int32;
  # The signal that ended the interpreter, or 0.
  reason @2 :Text;
  # For a person. Empty if there is nothing to say.
}
