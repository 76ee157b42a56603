/** How far a feature vector's prediction can be trusted. */
package obsprop.propagation.error;
