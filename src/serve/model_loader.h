// How the registry gets a model into memory: the one thing it cannot do itself, as files and
// engines lie outside of this folder.
//
// Threads: load() and estimate_bytes() are called from one thread at a time, never an I/O thread;
//          check_source() from any thread.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "serve/served_model.h"

namespace inferno::serve {

// A model that is, or may be, served: what clients call it and where it comes from.
struct ModelSpec {
  std::vector<std::string> names;  // at least one; answers carry the first
  std::string source;              // a path or a name, as the loader understands it
};

class ModelLoader {
 public:
  virtual ~ModelLoader() = default;

  // Loads a model and starts its engine; may take minutes. The result owns all of it through
  // ServedModel::owner. Its names are set by the caller.
  virtual Result<ServedModel> load(const ModelSpec& spec) = 0;

  // What load() would take of memory, from the files' headers alone.
  virtual Result<size_t> estimate_bytes(const ModelSpec& spec) = 0;

  // Whether a client with the admin key may have `source` loaded while the server runs. Returns
  // what to load, in a form in which nobody can make it mean something else. kInvalid or kNotFound
  // with the reason.
  virtual Result<std::string> check_source(const std::string& source) = 0;
};

}  // namespace inferno::serve
