import { ActionIcon, Menu, Text } from '@mantine/core';
import { IconPaperclip, IconPlus } from '@tabler/icons-react';
import { useRef } from 'react';
import { useChatSelector } from '../../hooks';
import { limitsText } from './fileRules';

/** Says what can be attached, and lets files be chosen. */
export function AttachButton({ onFiles }: { onFiles: (files: File[]) => void }) {
  const limits = useChatSelector((state) => state.limits.known);
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <Menu position="top-start" width={290}>
        <Menu.Target>
          <ActionIcon aria-label="Attach" size={44} radius="xl" variant="subtle" color="gray">
            <IconPlus size={20} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item data-autofocus leftSection={<IconPaperclip size={18} />} onClick={() => input.current?.click()}>
            Add files…
            <Text size="xs">{limitsText(limits)}. You can also paste or drop them.</Text>
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <input
        ref={input}
        type="file"
        multiple
        hidden
        aria-label="Files"
        onChange={(e) => {
          onFiles([...(e.currentTarget.files ?? [])]);
          e.currentTarget.value = '';
        }}
      />
    </>
  );
}
