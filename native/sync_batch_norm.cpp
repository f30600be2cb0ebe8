// Batch normalisation with the statistics of all processes' batches, which all have the same size.

#include <ATen/Parallel.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/batch_norm_backward_elemt.h>
#include <ATen/ops/batch_norm_backward_reduce.h>
#include <ATen/ops/batch_norm_elemt.h>
#include <ATen/ops/batch_norm_gather_stats_with_counts.h>
#include <ATen/ops/batch_norm_stats.h>
#include <ATen/ops/batch_norm_update_stats.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/native_batch_norm.h>
#include <ATen/ops/native_batch_norm_backward.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "distributed.h"
#include "guard.h"

namespace stec {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Running {
  at::Tensor mean;
  at::Tensor variance;
  double momentum;
};

int64_t values_per_channel(const at::Tensor& input) { return input.numel() / input.size(1); }

at::Tensor like_input(const at::Tensor& gradient, const at::Tensor& input) {
  return gradient.contiguous(input.suggest_memory_format());
}

// On a GPU, libtorch has operators for each part. `spread` is 1 / standard deviation.
namespace gpu {

std::tuple<at::Tensor, at::Tensor, at::Tensor> forward(Group& group, const at::Tensor& input, const at::Tensor& weight,
                                                       const at::Tensor& bias, const Running& running, double eps) {
  const auto [own_mean, own_spread] = at::batch_norm_stats(input, eps);
  const at::Tensor all = group.gather(at::stack({own_mean, own_spread}));
  const at::Tensor counts = at::full({group.size()}, values_per_channel(input), own_mean.options());
  const auto [mean, spread] = at::batch_norm_gather_stats_with_counts(
      input, all.select(1, 0), all.select(1, 1), running.mean, running.variance, running.momentum, eps,
      counts.to(running.mean.scalar_type()));
  return {at::batch_norm_elemt(input, weight, bias, mean, spread, eps), mean, spread};
}

variable_list backward(Group& group, const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& weight,
                       const at::Tensor& mean, const at::Tensor& spread) {
  const auto [sum, sum_xmu, of_weight, of_bias] =
      at::batch_norm_backward_reduce(gradient, input, mean, spread, weight, true, true, true);
  const at::Tensor sums = at::stack({sum, sum_xmu});
  group.sum_(sums);
  const at::Tensor counts =
      at::full({group.size()}, values_per_channel(input), mean.options().dtype(at::kInt));
  const at::Tensor of_input = at::batch_norm_backward_elemt(
      gradient, input, mean, spread, weight.to(mean.scalar_type()), sums[0], sums[1], counts);
  return {of_input, of_weight, of_bias};
}

}  // namespace gpu

// On a CPU, what inference uses normalises with given statistics. `spread` is the variance.
namespace cpu {

// Visits the rows in parts that stay in the caches of the cores from one pass over them to the next: memory is slow, and
// processes on one machine, which come here at the same time, share it.
template <typename Visit>
void for_parts(const at::Tensor& input, Visit visit) {
  constexpr int64_t values_of_a_core = 1 << 17;
  const int64_t rows = input.size(0);
  const int64_t length =
      std::max<int64_t>(1, values_of_a_core * at::get_num_threads() * rows / std::max<int64_t>(1, input.numel()));
  for (int64_t first = 0; first < rows; first += length) visit(first, std::min(length, rows - first));
}

// Mean and variance of all values from those of parts, (parts, channels), which hold these shares of the values.
std::tuple<at::Tensor, at::Tensor> combine(const at::Tensor& means, const at::Tensor& variances,
                                           const at::Tensor& shares) {
  const at::Tensor mean = (means * shares).sum(0);
  return {mean, ((variances + (means - mean).square()) * shares).sum(0)};
}

std::tuple<at::Tensor, at::Tensor> own_statistics(const at::Tensor& input, const Running& running) {
  std::vector<at::Tensor> means, variances;
  std::vector<double> shares;
  for_parts(input, [&](int64_t first, int64_t count) {
    // The running statistics tell the operator the precision to work in; it must not change them.
    const auto [mean, variance] = at::batch_norm_update_stats(
        input.narrow(0, first, count), running.mean.clone(), running.variance.clone(), 0);
    means.push_back(mean);
    variances.push_back(variance);
    shares.push_back(static_cast<double>(count) / static_cast<double>(input.size(0)));
  });
  return combine(at::stack(means), at::stack(variances), at::tensor(shares, running.mean.options()).unsqueeze(1));
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> forward(Group& group, const at::Tensor& input, const at::Tensor& weight,
                                                       const at::Tensor& bias, const Running& running, double eps) {
  const auto [own_mean, own_variance] = own_statistics(input, running);
  const at::Tensor all = group.gather(at::stack({own_mean, own_variance}));
  const at::Tensor shares = at::full({group.size(), 1}, 1.0 / static_cast<double>(group.size()), all.options());
  const auto [mean, variance] = combine(all.select(1, 0), all.select(1, 1), shares);
  const auto count = static_cast<double>(values_per_channel(input) * group.size());
  running.mean.mul_(1 - running.momentum).add_(mean, running.momentum);
  running.variance.mul_(1 - running.momentum).add_(variance, running.momentum * count / (count - 1));
  const bool training = false;
  at::Tensor output = std::get<0>(at::native_batch_norm(input, weight, bias, mean, variance, training, 0, eps));
  return {output, mean, variance};
}

// With x^ = (x - mean) / s, s = sqrt(variance + eps) and sums over all n values of a channel:
// dx = weight / s (dy - sum(dy) / n - x^ sum(dy x^) / n), dweight = sum(dy x^), dbias = sum(dy).
variable_list backward(Group& group, const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& weight,
                       const at::Tensor& mean, const at::Tensor& variance, double eps) {
  const bool training = false;
  const auto [none, of_weight, of_bias] = at::native_batch_norm_backward(
      gradient, input, weight, mean, variance, {}, {}, training, eps, {false, true, true});
  const at::Tensor means = at::stack({of_bias, of_weight});
  group.sum_(means);
  means.div_(static_cast<double>(values_per_channel(input) * group.size()));
  // As dx = scale dy - slope x - (scale mean(dy) - slope mean).
  const at::Tensor invstd = (variance + eps).rsqrt(), scale = weight * invstd;
  const at::Tensor slope = scale * invstd * means[1], rest = slope * mean - scale * means[0];
  std::vector<int64_t> shape(input.dim(), 1);
  shape[1] = input.size(1);
  const at::Tensor scales = scale.view(shape), slopes = slope.view(shape), rests = rest.view(shape);
  at::Tensor of_input = at::empty_like(input, input.options().dtype(rest.scalar_type()));
  for_parts(input, [&](int64_t first, int64_t count) {
    at::Tensor part = of_input.narrow(0, first, count);
    at::addcmul_out(part, rests, input.narrow(0, first, count), slopes, -1);
    part.addcmul_(gradient.narrow(0, first, count), scales);
  });
  return {of_input.to(input.scalar_type()), of_weight, of_bias};
}

}  // namespace cpu

struct SyncBatchNorm : torch::autograd::Function<SyncBatchNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& given, const at::Tensor& weight,
                            const at::Tensor& bias, const Running& running, double eps, double group) {
    const at::Tensor input = given.contiguous(given.suggest_memory_format());
    const auto processes = groups().get(group);
    const auto [output, mean, spread] =
        (input.is_cpu() ? cpu::forward : gpu::forward)(*processes, input, weight, bias, running, eps);
    context->save_for_backward({input, weight, mean, spread});
    context->saved_data["eps"] = eps;
    context->saved_data["group"] = group;
    return output;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &input = saved[0], &weight = saved[1], &mean = saved[2], &spread = saved[3];
    const auto processes = groups().get(context->saved_data["group"].toDouble());
    const at::Tensor gradient = like_input(gradients[0], input);
    variable_list result = input.is_cpu()
        ? cpu::backward(*processes, gradient, input, weight, mean, spread, context->saved_data["eps"].toDouble())
        : gpu::backward(*processes, gradient, input, weight, mean, spread);
    result.resize(6);
    return result;
  }
};

}  // namespace
}  // namespace stec

using namespace stec;

double stec_sync_batch_norm(double group, double input, double weight, double bias, double running_mean,
                            double running_variance, double momentum, double eps) {
  STEC_GUARD(STEC_FAILED, {
    const Running running{tensors().get(running_mean), tensors().get(running_variance), momentum};
    const at::Tensor output = SyncBatchNorm::apply(
        tensors().get(input), tensors().get(weight), tensors().get(bias), running, eps, group);
    return tensors().insert(output);
  })
}
