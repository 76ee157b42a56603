/** Changing the residual stream along a vector, and what becomes of the output. */
package obsprop.analysis.steering;
