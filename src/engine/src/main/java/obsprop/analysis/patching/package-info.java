/** Exact path patching by arithmetic on cached activations, and the oracle that checks it. */
package obsprop.analysis.patching;
