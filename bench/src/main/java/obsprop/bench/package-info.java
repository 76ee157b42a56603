/** JMH benchmarks, one class a question; see the README of this folder. */
package obsprop.bench;
