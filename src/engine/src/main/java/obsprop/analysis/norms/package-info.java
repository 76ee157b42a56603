/** The norms of a model along its depth, and what approximating them costs. */
package obsprop.analysis.norms;
