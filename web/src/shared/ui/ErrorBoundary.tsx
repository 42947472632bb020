import { Component, type ReactNode } from 'react';

/** Shows something else where its children fail; tries them again when `tryAgain` changes. */
export class ErrorBoundary extends Component<{ fallback: ReactNode; tryAgain?: unknown; children: ReactNode }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override componentDidUpdate(before: { tryAgain?: unknown }) {
    if (before.tryAgain !== this.props.tryAgain && this.state.failed) this.setState({ failed: false });
  }

  override render() {
    return this.state.failed ? this.props.fallback : this.props.children;
  }
}
