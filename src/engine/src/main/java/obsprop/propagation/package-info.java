/** Meaning: observables, feature vectors, sites and paths, and how one is pulled back to the other. */
package obsprop.propagation;
