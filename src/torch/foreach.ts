/**
 * Operations on whole lists of tensors at once: one call for all parameters of a network, and on a GPU one kernel for
 * many of them.
 *
 * @module
 */

import { callInPlace, callList } from "./operator.ts";
import type { Operand, Tensor } from "./tensor.ts";

/** A list of tensors of which each corresponds to the same entry of the other lists. */
export type TensorList = readonly Tensor[];

/** a_i + alpha * b_i, as new tensors. */
export function foreachAdd(a: TensorList, b: TensorList, alpha = 1): Tensor[] {
  return callList("aten::_foreach_add.List", a, b, alpha);
}
/** a_i += alpha * b_i. An alpha that is a tensor has no dimensions. */
export function foreachAdd_(a: TensorList, b: TensorList, alpha: Operand = 1): void {
  if (typeof alpha === "number") callInPlace("aten::_foreach_add_.List", a, b, alpha);
  else foreachAdd_(a, callList("aten::_foreach_mul.Tensor", b, alpha));
}
/** a_i += scalar. */
export function foreachAddScalar_(a: TensorList, scalar: number): void {
  callInPlace("aten::_foreach_add_.Scalar", a, scalar);
}
/** a_i *= factor, a number or a tensor without dimensions. */
export function foreachMulScalar_(a: TensorList, factor: Operand): void {
  callInPlace(`aten::_foreach_mul_.${typeof factor === "number" ? "Scalar" : "Tensor"}`, a, factor);
}
/** a_i *= b_i. */
export function foreachMul_(a: TensorList, b: TensorList): void {
  callInPlace("aten::_foreach_mul_.List", a, b);
}
/** a_i /= divisor, a number or a tensor without dimensions. */
export function foreachDiv_(a: TensorList, divisor: Operand): void {
  callInPlace(`aten::_foreach_div_.${typeof divisor === "number" ? "Scalar" : "Tensor"}`, a, divisor);
}
/** a_i += (b_i - a_i) * weight. */
export function foreachLerp_(a: TensorList, b: TensorList, weight: number): void {
  callInPlace("aten::_foreach_lerp_.Scalar", a, b, weight);
}
/** a_i += value * b_i * c_i. */
export function foreachAddcmul_(a: TensorList, b: TensorList, c: TensorList, value: number): void {
  callInPlace("aten::_foreach_addcmul_.Scalar", a, b, c, value);
}
/** a_i += value * b_i / c_i. A value that is a tensor has no dimensions. */
export function foreachAddcdiv_(a: TensorList, b: TensorList, c: TensorList, value: Operand): void {
  if (typeof value === "number") callInPlace("aten::_foreach_addcdiv_.Scalar", a, b, c, value);
  else foreachAdd_(a, callList("aten::_foreach_div.List", b, c), value);
}
/** sqrt(a_i), as new tensors. */
export function foreachSqrt(a: TensorList): Tensor[] {
  return callList("aten::_foreach_sqrt", a);
}
/** Copies b_i into a_i. */
export function foreachCopy_(a: TensorList, b: TensorList): void {
  callInPlace("aten::_foreach_copy_", a, b);
}
/** The Euclidean norm of each tensor, as 0-dimensional tensors. */
export function foreachNorm(a: TensorList): Tensor[] {
  return callList("aten::_foreach_norm.Scalar", a, 2);
}
