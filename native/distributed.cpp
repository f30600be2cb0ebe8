// Processes that compute together, on PyTorch's own engine (c10d): store, process group, collectives, reducer.

#define USE_C10D_GLOO

#include "distributed.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/csrc/distributed/c10d/comm.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <future>
#include <optional>
#include <thread>

#include "guard.h"

namespace stec {

HandleTable<c10::intrusive_ptr<c10d::Store>, 2>& stores() {
  return immortal<HandleTable<c10::intrusive_ptr<c10d::Store>, 2>>();
}

HandleTable<std::shared_ptr<Group>, 3>& groups() { return immortal<HandleTable<std::shared_ptr<Group>, 3>>(); }

void Group::sum_(const at::Tensor& tensor) {
  TORCH_CHECK(tensor.is_contiguous(), "only a contiguous tensor can be summed over processes");
  std::vector<at::Tensor> tensors{tensor};
  c10d::AllreduceOptions options;
  options.asyncOp = false;
  wait(backend_of(tensor).allreduce(tensors, options));
}

void Group::break_connections() noexcept {
  if (size() == 1) return;
  try {
    // Gloo breaks all connections when a message does not come in time. Nobody sends this one.
    constexpr int tag = 0x57ED;
    std::vector<at::Tensor> message{at::empty({1})};
    const int peer = processes->getRank() == 0 ? 1 : 0;
    processes->getBackend(at::kCPU)->recv(message, peer, tag)->wait(std::chrono::milliseconds(1));
  } catch (const std::exception&) {
    // As intended, or they were broken before.
  }
}

at::Tensor Group::gather(const at::Tensor& tensor) {
  at::Tensor mine = tensor.flatten();
  at::Tensor all = at::empty({size() * mine.numel()}, mine.options());
  c10d::AllgatherOptions options;
  options.asyncOp = false;
  wait(backend_of(mine)._allgather_base(all, mine, options));
  std::vector<int64_t> shape = tensor.sizes().vec();
  shape.insert(shape.begin(), size());
  return all.view(shape);
}

namespace {

// Tells, as PyTorch does not, how long the reduction of gradients outlasted the back-propagation that it ran beside.
class Reducer : public c10d::Reducer {
 public:
  using c10d::Reducer::Reducer;

  int64_t exposed_nanoseconds() const {
    using Event = c10d::Timer::Event;
    if (!timer_) return 0;
    return timer_->measureDifference(Event::kBackwardComputeEnd, Event::kBackwardCommEnd).value_or(0);
  }
};

HandleTable<std::shared_ptr<Reducer>, 4>& reducers() { return immortal<HandleTable<std::shared_ptr<Reducer>, 4>>(); }

std::string text_of(const uint8_t* text, uint32_t length) {
  return std::string(reinterpret_cast<const char*>(text), length);
}

std::chrono::milliseconds milliseconds(double count) {
  TORCH_CHECK(count >= 1 && count <= 1e12, "a time-out cannot last ", count, " ms");
  return std::chrono::milliseconds(static_cast<int64_t>(count));
}

// The tensors whose handles are in the frame's payload.
std::vector<at::Tensor> given_tensors(uint32_t count) {
  auto given = tensor_list(tensors().locked(), thread_frame(), 0, count);
  TORCH_CHECK(!given.empty(), "at least one tensor is needed");
  for (const at::Tensor& tensor : given) {
    TORCH_CHECK(tensor.defined(), "a tensor list holds a missing tensor");
    check_plain(tensor);
  }
  return given;
}

// The address of this machine from which it reaches `host`, as digits. Its own name may lead to no or to another one.
std::string address_towards(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  const int failure = getaddrinfo(host.c_str(), "9", &hints, &found);
  TORCH_CHECK(failure == 0, "the address of ", host, " is not known: ", gai_strerror(failure));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
  for (const addrinfo* address = found; address; address = address->ai_next) {
    const int probe = socket(address->ai_family, SOCK_DGRAM, 0);
    if (probe < 0) continue;
    sockaddr_storage own{};
    socklen_t length = sizeof(own);
    char digits[NI_MAXHOST];
    // Connecting a datagram socket sends nothing: it only looks for the way.
    const bool reached = connect(probe, address->ai_addr, address->ai_addrlen) == 0 &&
        getsockname(probe, reinterpret_cast<sockaddr*>(&own), &length) == 0 &&
        getnameinfo(reinterpret_cast<sockaddr*>(&own), length, digits, sizeof(digits), nullptr, 0, NI_NUMERICHOST) == 0;
    close(probe);
    if (reached) return digits;
  }
  TORCH_CHECK(false, "no network leads to ", host);
}

bool is_loopback(const sockaddr& address) {
  if (address.sa_family == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
  constexpr uint32_t network = 127;
  return address.sa_family == AF_INET &&
      ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr) >> 24 == network;
}

// A socket that only this machine reaches, where `host` means this machine itself, else none. TCPStore takes it over.
std::optional<int> loopback_socket(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return std::nullopt;
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
  if (!is_loopback(*found->ai_addr)) return std::nullopt;
  const int listening = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
  TORCH_CHECK(listening >= 0, "no socket can be opened: ", std::strerror(errno));
  setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (bind(listening, found->ai_addr, found->ai_addrlen) == 0) return listening;
  const int failure = errno;
  close(listening);
  TORCH_CHECK(false, "port ", port, " of ", host, " cannot be used: ", std::strerror(failure));
}

// TCPStore waits for its first answer without a limit: another program on that port may take the connection and never
// say anything. So it connects on a thread of its own, which is given up when the time is over.
c10::intrusive_ptr<c10d::Store> connect_in_time(const std::string& host, const c10d::TCPStoreOptions& options) {
  std::packaged_task<c10::intrusive_ptr<c10d::Store>()> connect(
      [host, options] { return c10::make_intrusive<c10d::TCPStore>(host, options); });
  auto connected = connect.get_future();
  std::thread(std::move(connect)).detach();
  TORCH_CHECK(connected.wait_for(options.timeout) == std::future_status::ready, "no answer within ",
              options.timeout.count() / 1000.0, " s; another program may use this port");
  return connected.get();
}

// While it lives, threads that are started yield to all others: they run once those wait, or their time is over.
class Yielding {
 public:
  Yielding() { set(SCHED_BATCH); }
  ~Yielding() { set(SCHED_OTHER); }
  Yielding(const Yielding&) = delete;
  Yielding& operator=(const Yielding&) = delete;

 private:
  // Without effect where the system forbids it or the process was started with a policy of its own.
  void set(int policy) const {
    const sched_param parameters{};
    if (ordinary_) sched_setscheduler(0, policy, &parameters);
  }

  const bool ordinary_ = sched_getscheduler(0) == SCHED_OTHER;
};

// Where Gloo listens: on the network that GLOO_SOCKET_IFNAME names, as in PyTorch, else on the one that leads to `host`.
//
// Gloo's own thread must not push aside the one that sends: that one holds a lock then, for which Gloo's asks again and
// again until its time is over, 4 ms later, a dozen times in a training step of processes with one core each.
std::shared_ptr<gloo::transport::Device> gloo_device(const std::string& host) {
  const Yielding yielding;
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  return interface && *interface ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                                 : c10d::ProcessGroupGloo::createDeviceForHostname(address_towards(host));
}

std::shared_ptr<Group> make_group(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                                  std::chrono::milliseconds timeout, const std::string& host) {
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  options->devices.push_back(gloo_device(host));
  const auto prefixed = c10::make_intrusive<c10d::PrefixStore>("gloo", store);
  const auto backend = c10::make_intrusive<c10d::ProcessGroupGloo>(prefixed, rank, size, options);
  auto group = std::make_shared<Group>();
  group->store = store;
  group->timeout = timeout;
  group->processes = c10::make_intrusive<c10d::ProcessGroup>(store, rank, size);
  group->processes->setDefaultBackend(c10d::ProcessGroup::GLOO);
  group->processes->setBackend(at::kCPU, c10d::ProcessGroup::GLOO, c10::intrusive_ptr<c10d::Backend>(backend));
  return group;
}

// Closes the connections and waits until that is done. Nothing runs on them any more once they are broken, so it takes
// long only where a GPU hangs; the process then ends without the destructors of what the closing still uses.
void close_in_time(std::shared_ptr<Group> group) {
  constexpr std::chrono::seconds limit(5);
  std::packaged_task<void()> close([closing = std::move(group)]() mutable {
    closing->break_connections();
    closing.reset();
  });
  auto closed = close.get_future();
  std::thread thread(std::move(close));
  if (closed.wait_for(limit) == std::future_status::ready) return thread.join();
  thread.detach();
  on_exit([](int status, void*) { _exit(status); }, nullptr);
}

// The rows of all processes. What each of them makes of a row comes back, summed, to the process that the row is from.
struct GatherRows : torch::autograd::Function<GatherRows> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& rows, double group) {
    context->saved_data["group"] = group;
    return groups().get(group)->gather(rows).flatten(0, 1);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto group = groups().get(context->saved_data["group"].toDouble());
    at::Tensor total = gradients[0].clone(at::MemoryFormat::Contiguous);
    group->sum_(total);
    return {total.chunk(group->size())[group->processes->getRank()], at::Tensor()};
  }
};

// PyTorch adds parameters to this constructor from version to version; they are given PyTorch's own defaults here.
template <typename R, typename... Arguments>
std::shared_ptr<R> construct_reducer(Arguments... common) {
  const std::vector<int64_t> caps;
  if constexpr (std::is_constructible_v<R, Arguments..., bool, bool, std::vector<int64_t>, bool>) {
    return std::make_shared<R>(std::move(common)..., false, false, caps, false);
  } else if constexpr (std::is_constructible_v<R, Arguments..., bool, bool, std::vector<int64_t>>) {
    return std::make_shared<R>(std::move(common)..., false, false, caps);
  } else if constexpr (std::is_constructible_v<R, Arguments..., bool, bool>) {
    return std::make_shared<R>(std::move(common)..., false, false);
  } else {
    return std::make_shared<R>(std::move(common)...);
  }
}

std::shared_ptr<Reducer> make_reducer(const c10::intrusive_ptr<c10d::ProcessGroup>& processes,
                                      const std::vector<at::Tensor>& parameters) {
  for (const at::Tensor& parameter : parameters) {
    TORCH_CHECK(parameter.requires_grad() && parameter.is_leaf(), "a parameter must be a leaf that requires a gradient: ",
                describe(parameter));
  }
  c10d::verify_params_across_processes(processes, parameters, {});
  const std::vector<bool> sparse(parameters.size(), false);
  const std::vector<size_t> sizes{c10d::kDefaultFirstBucketBytes, c10d::kDefaultBucketBytesCap};
  auto buckets = std::get<0>(c10d::compute_bucket_assignment_by_size(parameters, sizes, sparse));
  // Gradients come about in the reverse order of the parameters, nearly. The reducer sorts by the true one later.
  std::reverse(buckets.begin(), buckets.end());
  const bool find_unused = false, gradients_are_views = true;
  auto reducer = construct_reducer<Reducer>(
      parameters, buckets, processes, sparse, static_cast<int64_t>(c10d::kDefaultBucketBytesCap), find_unused,
      gradients_are_views, std::unordered_map<size_t, std::string>(),
      static_cast<int64_t>(c10d::kDefaultFirstBucketBytes));
  reducer->set_ddp_runtime_logging_sample_rate(1);
  return reducer;
}

}  // namespace
}  // namespace stec

using namespace stec;

double stec_store_new(const uint8_t* host, uint32_t host_length, uint32_t port, uint32_t is_server, double timeout,
                      const uint8_t* prefix, uint32_t prefix_length) {
  STEC_GUARD(STEC_FAILED, {
    TORCH_CHECK(port <= 65535, "there is no port ", port);
    c10d::TCPStoreOptions options;
    options.port = static_cast<uint16_t>(port);
    options.isServer = is_server != 0;
    options.waitWorkers = false;
    // Deno exports some functions of libuv under their own names, and libtorch's libuv would call those.
    options.useLibUV = false;
    options.timeout = milliseconds(timeout);
    const std::string name = text_of(host, host_length);
    if (options.isServer) options.masterListenFd = loopback_socket(name, options.port);
    const auto store = connect_in_time(name, options);
    return stores().insert(c10::make_intrusive<c10d::PrefixStore>(text_of(prefix, prefix_length), store));
  })
}

int32_t stec_store_set(double store, const uint8_t* key, uint32_t key_length, const uint8_t* value, uint32_t length) {
  STEC_GUARD(STEC_FAILED, {
    stores().get(store)->set(text_of(key, key_length), std::vector<uint8_t>(value, value + length));
    return 0;
  })
}

int32_t stec_store_get(double store, const uint8_t* key, uint32_t key_length, uint8_t* out, uint32_t capacity) {
  STEC_GUARD(STEC_FAILED, {
    const auto entries = stores().get(store);
    const std::string name = text_of(key, key_length);
    if (!entries->check({name})) return STEC_ABSENT;
    const std::vector<uint8_t> value = entries->get(name);
    if (capacity > 0) std::memcpy(out, value.data(), std::min<size_t>(capacity, value.size()));
    return static_cast<int32_t>(value.size());
  })
}

double stec_store_add(double store, const uint8_t* key, uint32_t key_length, double amount) {
  STEC_GUARD(STEC_FAILED, {
    TORCH_CHECK(whole(amount), "a count grows by whole numbers, not by ", amount);
    return static_cast<double>(stores().get(store)->add(text_of(key, key_length), static_cast<int64_t>(amount)));
  })
}

int32_t stec_store_free(double store) {
  STEC_GUARD(STEC_FAILED, {
    TORCH_CHECK(stores().erase(store), "this store was already freed, or never existed");
    return 0;
  })
}

double stec_group_new(double store, uint32_t rank, uint32_t size, double timeout, const uint8_t* host,
                      uint32_t host_length) {
  STEC_GUARD(STEC_FAILED, {
    TORCH_CHECK(rank < size, "rank ", rank, " is not among ", size, " processes");
    TORCH_CHECK(size <= 65536, "at most 65,536 processes can compute together, not ", size);
    return groups().insert(make_group(stores().get(store), static_cast<int>(rank), static_cast<int>(size),
                                      milliseconds(timeout), text_of(host, host_length)));
  })
}

int32_t stec_group_free(double group) {
  STEC_GUARD(STEC_FAILED, {
    auto closing = groups().get(group);
    groups().erase(group);
    close_in_time(std::move(closing));
    return 0;
  })
}

double stec_group_waited(double group) {
  STEC_GUARD(STEC_FAILED, { return static_cast<double>(groups().get(group)->waited_nanoseconds.load()); })
}

int32_t stec_group_break(double group) {
  STEC_GUARD(STEC_FAILED, {
    groups().get(group)->break_connections();
    return 0;
  })
}

double stec_gather(double group, double rows) {
  STEC_GUARD(STEC_FAILED, {
    const at::Tensor mine = plain_tensor(rows);
    TORCH_CHECK(mine.dim() > 0, "a tensor without dimensions has no rows to gather");
    return tensors().insert(GatherRows::apply(mine, group));
  })
}

int32_t stec_sum(double group, double tensor) {
  STEC_GUARD(STEC_FAILED, {
    groups().get(group)->sum_(plain_tensor(tensor));
    return 0;
  })
}

int32_t stec_broadcast(double group, uint32_t count, uint32_t root) {
  STEC_GUARD(STEC_FAILED, {
    constexpr size_t buffer_bytes = 64 << 20;
    const auto processes = groups().get(group)->processes;
    TORCH_CHECK(root < static_cast<uint32_t>(processes->getSize()), "there is no rank ", root);
    c10d::broadcast_coalesced(processes, given_tensors(count), buffer_bytes, static_cast<int>(root));
    return 0;
  })
}

double stec_reducer_new(double group, uint32_t count) {
  STEC_GUARD(STEC_FAILED, {
    return reducers().insert(make_reducer(groups().get(group)->processes, given_tensors(count)));
  })
}

int32_t stec_reducer_prepare(double reducer) {
  STEC_GUARD(STEC_FAILED, {
    const auto reducing = reducers().get(reducer);
    // Counts the iteration, without which no times are taken.
    reducing->prepare_for_forward();
    reducing->rebuild_buckets();
    reducing->prepare_for_backward({});
    return 0;
  })
}

double stec_reducer_exposed(double reducer) {
  STEC_GUARD(STEC_FAILED, { return static_cast<double>(reducers().get(reducer)->exposed_nanoseconds()); })
}

int32_t stec_reducer_free(double reducer) {
  STEC_GUARD(STEC_FAILED, {
    TORCH_CHECK(reducers().erase(reducer), "this reducer was already freed, or never existed");
    return 0;
  })
}
